"""Make one self-contained page from what the pipeline left: to look at, to play with, to send.

python -m tools.report                      the workspace → report/index.html
python -m tools.report main hidden-300      two revisions side by side
python -m tools.report -o page.html         into another file
python -m tools.report --picture page.png   and a picture of its playground, with Chromium
python -m tools.report --slides slides      no page: its charts in large type, as slides/NAME.png
python -m tools.report --slides slides --only next,sweep --prefix Ca   only these

Revisions are commits, branches, tags, experiments, or `workspace`. The page needs no network. It
leaves out what is neither in git nor in DVC's cache, and names the command that creates it. Slides
are of one revision; `--only` also takes paths of .svg files.
"""

import argparse
import io
import subprocess
import unicodedata
from pathlib import Path

from charlm.core.errors import InputError
from charlm.core.storage import write_bytes
from tools.compare.runs import Settings
from tools.dvc_state import PARAMS, WORKSPACE, parse_sections
from tools.program import argument_parser, run_tool
from tools.report.browser import open_browser
from tools.report.page import build_page
from tools.report.results import Results, read_results
from tools.report.slides import FORMATS, make_slides

DEFAULT_PATH = Path("report/index.html")
PICTURE_WIDTH, PICTURE_HEIGHT = 960, 1020  # pixels
PICTURE_COLORS = 64


def committed_settings() -> Settings | None:
    """Return the parameters of the last commit, None if there are none."""
    command = ("git", "show", f"HEAD:./{PARAMS}")
    shown = subprocess.run(command, capture_output=True, check=False)
    return parse_sections(shown.stdout, PARAMS) if shown.returncode == 0 else None


def draw_picture(page: Path) -> bytes:
    """Return a picture of the playground of a page, as a png file of few colours.

    Raises:
        InputError: there is no browser, or the page has no playground.
    """
    from PIL import Image

    with open_browser() as browser:
        # without motion, so that it is where it should be at once
        tab = browser.new_page(
            viewport={"width": PICTURE_WIDTH, "height": PICTURE_HEIGHT},
            color_scheme="light",
            reduced_motion="reduce",
        )
        tab.goto(page.resolve().as_uri())
        if not tab.locator("#text").count():
            raise InputError("--picture: the page has no playground")
        tab.wait_for_selector("#playground[data-ready]")
        tab.locator("#playground").evaluate("section => section.scrollIntoView()")
        shot = tab.screenshot()
    picture = Image.open(io.BytesIO(shot)).quantize(colors=PICTURE_COLORS)
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return content.getvalue()


def read_side(revision: str) -> Results:
    """Return what a revision left.

    Raises:
        InputError: the workspace lacks results.
    """
    side = read_results(revision)
    if side.revision == WORKSPACE and side.run is None:
        raise InputError(f"report: {side.stale}")
    return side


def write_slides(revision: str, arguments: argparse.Namespace) -> None:
    """Write slides of a revision.

    Args:
        revision: its name.
        arguments: where to (`slides`), `only`, `prefix` and `format`.
    """
    names = None if arguments.only is None else [name.strip() for name in arguments.only.split(",")]
    prefix = arguments.prefix and unicodedata.normalize("NFC", arguments.prefix)
    slides = make_slides(read_side(revision), names, prefix, arguments.format or FORMATS[0])
    for name, content in slides.items():
        write_bytes(arguments.slides / name, content)
    print(f"report: {arguments.slides}: {', '.join(slides)}")


def main() -> None:
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("revisions", nargs="*", metavar="REVISION", help="two to compare; none: the workspace")
    add("-o", "--output", type=Path, default=DEFAULT_PATH, help=f"{DEFAULT_PATH} by default")
    add("--picture", type=Path, help="a png file of the playground")
    add("--slides", type=Path, metavar="DIR", help="write slides into this folder, and no page")
    add("--only", metavar="NAME,NAME", help="which slides; a wrong name lists them")
    add("--prefix", help="the beginning of a name, for the slide `next`")
    add("--format", choices=FORMATS, help="of slides, png by default")
    arguments = parser.parse_args()
    revisions = arguments.revisions or [WORKSPACE]
    if len(revisions) > 2:
        parser.error("give two revisions, one, or none")
    if arguments.slides:
        if len(revisions) > 1:
            parser.error("--slides: give one revision, or none")
        write_slides(revisions[0], arguments)
        return
    if arguments.only is not None or arguments.prefix is not None or arguments.format:
        parser.error("--only, --prefix and --format are for --slides DIR")

    names = ["A", "B"] if len(revisions) > 1 else [""]
    sides = {name: read_side(revision) for name, revision in zip(names, revisions, strict=True)}
    page = build_page(sides, committed_settings() if len(sides) == 1 else None)
    write_bytes(arguments.output, page.encode())
    print(f"report: {arguments.output}, {len(page.encode()) / 1e6:.2f} MB; open it in a browser")
    if arguments.picture:
        write_bytes(arguments.picture, draw_picture(arguments.output))


if __name__ == "__main__":
    run_tool(main)
