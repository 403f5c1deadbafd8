"""Run the labs in fresh kernels and write their notebooks, with the outputs.

    python -m labs              all labs
    python -m labs 1_bigrams    labs/1_bigrams.py → labs/1_bigrams.ipynb

It fails if what a cell prints is not what the committed notebook shows. On x86-64 Linux with the
pinned packages the texts must be equal; elsewhere a number must lie within the range printed behind
it. Pictures must exist. It needs the packages of the extra `labs`, which `make labs` installs.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from charlm.core.errors import InputError
from charlm.core.storage import write_bytes, write_json
from charlm.core.versions import CONSTRAINTS, PINNED, read_pins
from labs.support import SETTINGS, current_settings
from tools.program import argument_parser, run_tool

FOLDER = Path("labs")
MAX_BYTES = 400 * 1024  # of a notebook
TIMEOUT_S = 300  # for one cell
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
BAND = re.compile(r"(-?\d+\.\d+)   \((-?\d+\.\d+) to (-?\d+\.\d+)\)")
PICTURE = "picture"
NEEDED = ("ipykernel", "jupytext", "nbclient", "nbformat")

Notebook = dict[str, Any]  # as in the JSON of its file


def find_labs() -> list[str]:
    """Return the names of the labs, in order."""
    return sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))


def cell_ids(sources: list[str]) -> list[str]:
    """Return an id per cell, which stays as long as its text does.

    >>> cell_ids(["a", "b", "a"])
    ['ca978112', '3e23e816', 'ca978112-2']
    """
    seen: Counter[str] = Counter()
    ids = []
    for source in sources:
        digest = hashlib.sha256(source.encode()).hexdigest()[:8]
        seen[digest] += 1
        ids.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return ids


def execute(lab: str) -> Notebook:
    """Run a lab in a fresh kernel.

    Raises:
        InputError: a cell failed.
    """
    import jupytext
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = jupytext.read(FOLDER / f"{lab}.py", fmt="py:percent")
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    with tempfile.TemporaryDirectory() as ipython_folder:
        # neither somebody's kernels nor their settings of IPython
        os.environ |= {"JUPYTER_PREFER_ENV_PATH": "1", "IPYTHONDIR": ipython_folder}
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT_S,
            record_timing=False,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(FOLDER)}},
        )
        try:
            client.execute()
        except CellExecutionError as error:
            raise InputError(f"{lab}: a cell failed: {error.ename}: {error.evalue}") from None
    executed: Notebook = json.loads(nbformat.writes(notebook))
    return normalise(executed)


def normalise(notebook: Notebook) -> Notebook:
    """Leave out what differs from run to run, and join what one cell printed in pieces."""
    cells = notebook["cells"]
    for cell, cell_id in zip(cells, cell_ids(["".join(c["source"]) for c in cells]), strict=True):
        cell["id"], cell["metadata"] = cell_id, {}
        joined: list[dict[str, Any]] = []
        for output in cell.get("outputs", []):
            if joined and output.get("name", "") == joined[-1].get("name"):
                joined[-1]["text"] += output["text"]
            else:
                joined.append(output)
        for output in joined:
            if "text" in output:  # split at its lines, not at the pieces in which it arrived
                output["text"] = "".join(output["text"]).splitlines(keepends=True)
        if "outputs" in cell:
            cell["outputs"] = joined
    language = {"name": notebook["metadata"]["language_info"]["name"]}
    version = {"nbformat": 4, "nbformat_minor": 5}
    return {"cells": cells, "metadata": {"kernelspec": KERNEL, "language_info": language}} | version


def printed(notebook: Notebook) -> list[list[str]]:
    """Return what each code cell shows: its texts, and a mark for each picture."""
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        texts = []
        for output in cell["outputs"]:
            data = output.get("data", {})
            text = output.get("text", data.get("text/plain", ""))
            texts += [PICTURE] * any(kind.startswith("image/") for kind in data) + ["".join(text)]
        shown.append(texts)
    return shown


def differences(new: Notebook, old: Notebook, exactly: bool) -> list[str]:
    """Return how the outputs of a run differ from those of the committed notebook.

    Args:
        new: the notebook just executed.
        old: the committed one.
        exactly: whether all texts must be equal; if not, numbers must lie within their ranges.
    """
    news, olds = printed(new), printed(old)
    if len(news) != len(olds):
        return [f"{len(news)} code cells, {len(olds)} in the committed notebook"]
    found = []
    for cell, (texts, before) in enumerate(zip(news, olds, strict=True), start=1):
        if texts.count(PICTURE) != before.count(PICTURE):
            pictures = f"{texts.count(PICTURE)} pictures, {before.count(PICTURE)} in the committed"
            found.append(f"code cell {cell}: {pictures} notebook")
        lines, expected = ("\n".join(all_texts).split("\n") for all_texts in (texts, before))
        if exactly and lines != expected:
            pairs = zip([*lines, ""], [*expected, ""], strict=False)
            now, then = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
            found.append(f"code cell {cell}: prints {now!r}, committed: {then!r}")
        found += [
            f"code cell {cell}: {value} is not within {low} to {high}"
            for line in lines
            for value, low, high in BAND.findall(line)
            if not float(low) <= float(value) <= float(high)
        ]
    return found


def committed(path: Path) -> Notebook | None:
    """Return a notebook as the last commit has it; None if it has none."""
    command = ["git", "show", f"HEAD:{path.as_posix()}"]
    finished = subprocess.run(command, capture_output=True, check=False)
    notebook: Notebook | None = json.loads(finished.stdout) if finished.returncode == 0 else None
    return notebook


def has_same_bytes() -> bool:
    """Tell whether this system and its packages are those that promise the same digits."""
    pins = read_pins(CONSTRAINTS)
    is_pinned = all(metadata.version(name).partition("+")[0] == pins[name] for name in PINNED)
    return is_pinned and sys.platform == "linux" and platform.machine() == "x86_64"


def write(lab: str) -> list[str]:
    """Execute a lab and write its notebook.

    Returns:
        How it differs from the committed one.

    Raises:
        InputError: a cell failed, or the notebook is too large.
    """
    path = FOLDER / f"{lab}.ipynb"
    notebook = execute(lab)
    content = (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
    if len(content) > MAX_BYTES:
        raise InputError(
            f"{path}: {len(content):,} bytes, at most {MAX_BYTES:,} are allowed; draw smaller "
            "pictures, or print less"
        )
    before = committed(path)
    write_bytes(path, content)
    print(f"wrote {path}, {len(content) / 1024:.0f} KiB")
    return [] if before is None else differences(notebook, before, has_same_bytes())


def main() -> None:
    labs = find_labs()
    parser = argument_parser(__doc__)
    parser.add_argument("labs", nargs="*", metavar="LAB", help="such as 1_bigrams; none: all")
    chosen = parser.parse_args().labs or labs
    if unknown := [lab for lab in chosen if lab not in labs]:
        parser.error(f"no lab {', '.join(unknown)}; there are {', '.join(labs)}")
    if lacking := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"labs: {', '.join(lacking)} not installed; run `make labs`")
    write_json(SETTINGS, {lab: current_settings(lab) for lab in labs})
    found = [f"{lab}: {line}" for lab in chosen for line in write(lab)]
    if found:
        more = f"; {len(found) - 1} more" if len(found) > 1 else ""
        raise InputError(
            f"{found[0]}{more}; see `git diff labs`, and commit the notebook if this is right"
        )


if __name__ == "__main__":
    run_tool(main)
