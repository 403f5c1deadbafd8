"""Markdown files whose tables are written by programs, between two marks each."""

import re
from collections.abc import Callable
from pathlib import Path

from charlm.core.errors import InputError
from charlm.core.storage import read_bytes, write_bytes
from tools.program import argument_parser

FILES = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
Make = Callable[[], str]  # of a table
MARKS = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill_in(text: str, tables: dict[str, Make]) -> str:
    """Put tables between their marks in a text; those of other names stay as they are.

    >>> fill_in("a\\n<!-- table: x -->\\nold\\n<!-- end -->\\nb", {"x": lambda: "new"})
    'a\\n<!-- table: x -->\\nnew\\n<!-- end -->\\nb'
    """

    def filled(marks: re.Match[str]) -> str:
        known = marks[2] in tables
        return f"{marks[1]}{tables[marks[2]]()}\n{marks[3]}" if known else marks[0]

    return MARKS.sub(filled, text)


def rewrite(texts: dict[Path, str], check: bool) -> None:
    """Write the files whose content is no longer this text.

    Args:
        texts: what each file should contain.
        check: only report which files are outdated.

    Raises:
        InputError: with `check`, some are outdated.
    """
    outdated = [
        path
        for path, text in texts.items()
        if not path.exists() or read_bytes(path).decode() != text
    ]
    found = ", ".join(map(str, outdated)) or "nothing"
    if check:
        if outdated:
            raise InputError(f"outdated: {found}; run `make tables`")
        return
    for path in outdated:
        write_bytes(path, texts[path].encode())
    print(f"rewrote {found}")


def rewrite_tables(
    doc: str | None,
    tables: dict[str, Make],
    files: list[Path] = FILES,
    prepare: Callable[[], None] = lambda: None,
    pictures: dict[Path, Make] | None = None,
) -> None:
    """Be a program, whose help shows `doc`, that fills tables into files.

    Args:
        doc: docstring of the program.
        tables: what makes each table, by name.
        files: that have marks.
        prepare: makes what the tables need.
        pictures: SVG files that are written as a whole.
    """
    parser = argument_parser(doc)
    parser.add_argument("--check", action="store_true", help="only report what is outdated")
    arguments = parser.parse_args()
    prepare()
    texts = {path: fill_in(read_bytes(path).decode(), tables) for path in files}
    texts |= {path: make() for path, make in (pictures or {}).items()}
    rewrite(texts, arguments.check)
