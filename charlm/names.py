"""Lists of names: one name per line, UTF-8, read as people mean them."""

import re
import shlex
import unicodedata
from pathlib import Path
from typing import NamedTuple

from charlm.core.errors import InputError
from charlm.core.storage import iter_lines
from charlm.list_formats import Table, find_table, names_column, parse_json

BYTE_ORDER_MARK = "\ufeff"
# Of no meaning at the end of a line. A zero-width joiner is part of a letter in older Malayalam.
INVISIBLE = "\xad\u061c\u180e\u200b\u200c\u200e\u200f\ufeff" + "".join(
    map(chr, [*range(0x202A, 0x202F), *range(0x2060, 0x2070)])
)
SPACES = "".join(filter(str.isspace, map(chr, range(0x3001))))
LINE_END = re.compile("\r\n|\r|\n")
# no tabs, no line separators either; the space is none of these
CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
BINARY = (
    b"%PDF",
    b"{\\rtf",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"\x89PNG",
    b"\xff\xd8\xff",
)  # first bytes
HTML = re.compile(rb"\s*<(!--|(!doctype|html|head|body|\?xml)\b)", re.IGNORECASE)
MAX_NAME_LENGTH = 10_000  # characters; `sample.max_length` has the same limit
MAX_SHOWN_LENGTH = 50  # characters of a name in an error
MAX_SHOWN_LINES = 5  # numbers of further lines in an error


class NameList(NamedTuple):
    """The names of a list, and how many of its lines were mended in which way."""

    names: list[str]
    mended: dict[str, int]  # without zeros


def parse_list(content: bytes, source: str, any_lines: bool = False) -> NameList:
    r"""Return the names of a list in UTF-8.

    A byte-order mark, line ends of Windows, blank lines, spaces and invisible characters around a
    name, and letters that are stored apart from their accents are mended: the names are in Unicode
    normal form C.

    >>> parse_list(b"emma\r\n\r\n ava\r\n", "names.txt")
    NameList(names=['emma', 'ava'], mended={'line_ends': 3, 'stripped': 1, 'blank': 1})

    Args:
        content: of the file.
        source: what to call the list in an error.
        any_lines: whether to accept lines that look like those of a table or have markup.

    Raises:
        InputError: it is no list of names: not UTF-8, not text, a page of HTML, JSON, a table,
            without names, or with lines that are not names.
    """
    text = decode(content, source)
    if parse_json(text) is not None:
        table = find_table([text])
        does = f", as `{column_command(source, table)}` does" if table else ""
        raise InputError(f"{source}: JSON, not a list of names; write the names one per line{does}")
    without_mark = text.removeprefix(BYTE_ORDER_MARK)
    lines = split_lines(without_mark)
    mended = {
        "byte_order_mark": int(text != without_mark),
        "line_ends": sum(1 for _ in re.finditer("\r\n?", without_mark)),
    }
    del text, without_mark  # the lines are several times as large
    names, mended_lines = mend(lines)
    if not any(names):
        raise InputError(f"{source}: contains no names; one name per line is needed")
    if not any_lines:
        refuse_table(lines, source)
    refuse_lines(names, f"{source}, line")
    mended = {key: count for key, count in mended.items() if count} | mended_lines
    return NameList([name for name in names if name] if "blank" in mended else names, mended)


def split_lines(text: str) -> list[str]:
    """Return the lines of a text without their ends, of whatever kind these are."""
    lines = LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def parse_names(texts: list[str], place: str) -> list[str]:
    """Return names that are given one by one, in the form of those of a list.

    Args:
        texts: the names.
        place: what the number of one is written behind in an error.

    Raises:
        InputError: one is not a name.
    """
    names, _ = mend(texts)
    refuse_lines(names, place)
    return [name for name in names if name]


def decode(content: bytes, source: str) -> str:
    """Return the text of a file.

    Raises:
        InputError: it is not UTF-8, or of another format: a web page or not text at all.
    """
    if HTML.match(content.removeprefix(BYTE_ORDER_MARK.encode())):
        raise InputError(
            f"{source}: a page of HTML or XML, not a list of names; use the address of the list "
            "itself, such as that of the raw file"
        )
    if content.startswith(BINARY) or (b"\0" in content and not content.startswith(UTF_16)):
        raise InputError(
            f"{source}: not text (it begins {content[:8]!r}); a list of names in UTF-8 is needed, "
            "one per line"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = len(LINE_END.split(content[: error.start].decode("utf-8")))
        raise InputError(
            f"{source}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the list "
            "as UTF-8"
        ) from None


def mend(lines: list[str]) -> tuple[list[str], dict[str, int]]:
    """Return lines in normal form C without what is invisible around them, and what was done.

    >>> mend(["ava ", "zoe\u0308", "\u200emia", " "])
    (['ava', 'zoë', 'mia', ''], {'composed': 1, 'stripped': 1, 'invisible': 1, 'blank': 1})

    Returns:
        The lines, also those that are blank; and the number of lines by what was done, without
        zeros.
    """
    composed = lines
    if not all(map(str.isascii, lines)):
        composed = [unicodedata.normalize("NFC", line) for line in lines]
    stripped = [line.strip() for line in composed]
    visible = [line.strip(SPACES + INVISIBLE) for line in stripped]
    mended = {
        "composed": sum(map(str.__ne__, lines, composed)),
        "stripped": sum(map(bool, changed(composed, stripped))),
        "invisible": sum(map(bool, changed(stripped, visible))),
        "blank": visible.count(""),
    }
    return visible, {key: count for key, count in mended.items() if count}


def changed(before: list[str], after: list[str]) -> list[str]:
    """Return the lines that are no longer what they were."""
    return [new for old, new in zip(before, after, strict=True) if old != new]


def refuse_table(lines: list[str], source: str) -> None:
    """Refuse the lines of a table or of a list with markup.

    Args:
        lines: as they are in the file.
        source: what to call the list in an error.

    Raises:
        InputError: names the command that takes the names out.
    """
    lines = [line.strip(INVISIBLE) for line in lines]
    if not (table := find_table(lines)):
        return
    name, total = lines[table.first - 1].strip(), sum(bool(line.strip()) for line in lines)
    raise InputError(
        f"{source}, line {table.first:,}: {shorten(name)!r} is not a plain name: {table.matches:,} "
        f"of {total:,} {'lines have' if total > 1 else 'line has'} {table.label}; run "
        f"`{column_command(source, table)}` for the names in it, or `python -m tools.use "
        f"{shlex.quote(source)} --as-is` if every line is one"
    )


def column_command(source: str, table: Table) -> str:
    """Return the command that takes the names out of a table."""
    column = names_column([cells for _, cells in table.rows]) + 1
    return f"python -m tools.use {shlex.quote(source)} --column {column}"


def refuse_lines(names: list[str], place: str) -> None:
    """Refuse lines that are not names, which must be stripped already.

    Args:
        names: the lines.
        place: what the number of a line is written behind.

    Raises:
        InputError: names the first one and why it is none.
    """
    bad = [
        number
        for number, name in enumerate(names, start=1)
        if len(name) > MAX_NAME_LENGTH or CONTROL_CHARACTER.search(name)
    ]
    if not bad:
        return
    name = names[bad[0] - 1]
    others = ", ".join(map(str, bad[1 : MAX_SHOWN_LINES + 1]))
    more = f"; {len(bad) - 1:,} more such line{'s' * (len(bad) > 2)}: {others}" if others else ""
    dots = ", …" if len(bad) > MAX_SHOWN_LINES + 1 else ""
    raise InputError(
        f"{place} {bad[0]:,}: {shorten(name)!r} is not a name: {problem(name)}{more}{dots}"
    )


def shorten(name: str) -> str:
    """Return a name as an error shows it."""
    return name if len(name) <= MAX_SHOWN_LENGTH else f"{name[:MAX_SHOWN_LENGTH]}…"


def problem(name: str) -> str:
    r"""Return why a stripped line is not a name, and what to do.

    >>> problem("a\x07b")
    "it contains the control character '\\x07'; remove it"
    """
    if "\t" in name:
        return "it contains a tab; replace it with a space, or take one column of the table"
    if found := CONTROL_CHARACTER.search(name):
        return f"it contains the control character {found[0]!r}; remove it"
    return f"it has {len(name):,} characters; at most {MAX_NAME_LENGTH:,} are allowed"


def read_names(path: Path) -> list[str]:
    """Return the names of a file that a stage wrote; an empty file contains none."""
    return [name for names in iter_lines(path) for name in names]
