"""Lists of names: one name per line, UTF-8, read as people mean them."""

import json
import re
import shlex
import unicodedata
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from charlm.core.errors import InputError
from charlm.core.storage import read_bytes

BYTE_ORDER_MARK = "\ufeff"
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
SEPARATORS = {"tab": "\t", "semicolon": ";", "comma": ","}
MIN_TABLE_SHARE = 0.9  # of the lines, with the same number of separators
HEADERS = ("name", "names")
MAX_NAME_LENGTH = 10_000  # characters; `sample.max_length` has the same limit
MAX_SHOWN_LENGTH = 50  # characters of a name in an error
MAX_SHOWN_LINES = 5  # numbers of further lines in an error


class NameList(NamedTuple):
    """The names of a list, and how many of its lines were mended in which way."""

    names: list[str]
    mended: dict[str, int]  # without zeros


def parse_list(content: bytes, source: str) -> NameList:
    r"""Return the names of a list in UTF-8.

    A byte-order mark, line ends of Windows, blank lines, spaces around a name, and letters that
    are stored apart from their accents are mended: the names are in Unicode normal form C.

    >>> parse_list(b"emma\r\n\r\n ava\r\n", "names.txt")
    NameList(names=['emma', 'ava'], mended={'line_ends': 3, 'stripped': 1, 'blank': 1})

    Args:
        content: of the file.
        source: what to call the list in an error.

    Raises:
        InputError: it is no list of names: not UTF-8, not text, a page of HTML, a table, without
            names, or with lines that are not names.
    """
    text = decode(content, source)
    without_mark = text.removeprefix(BYTE_ORDER_MARK)
    lines = LINE_END.split(without_mark)
    if not lines[-1]:
        del lines[-1]  # what follows the last line end
    mended = {
        "byte_order_mark": int(text != without_mark),
        "line_ends": len(re.findall("\r\n?", without_mark)),
    }
    lines, mended_lines = mend(lines)
    names = [line for line in lines if line]
    if not names:
        raise InputError(f"{source}: contains no names; one name per line is needed")
    refuse_table(names, source)
    refuse_lines(lines, f"{source}, line")
    return NameList(names, {key: count for key, count in mended.items() if count} | mended_lines)


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
        InputError: it is not UTF-8, or of another format: a web page, JSON or not text at all.
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
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = len(LINE_END.split(content[: error.start].decode("utf-8")))
        raise InputError(
            f"{source}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the list "
            "as UTF-8"
        ) from None
    if is_json(text):
        raise InputError(f"{source}: JSON, not a list of names; write the names one per line")
    return text


def is_json(text: str) -> bool:
    """Tell whether a text is an array or object of JSON.

    >>> is_json('["Ada", "Bea"]'), is_json("[Ada]")
    (True, False)
    """
    if not text.lstrip().startswith(("[", "{")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def mend(lines: list[str]) -> tuple[list[str], dict[str, int]]:
    """Return lines in Unicode normal form C without spaces around them, and what was done to them.

    >>> mend(["ava ", "zoe\u0308", " "])
    (['ava', 'zoë', ''], {'composed': 1, 'stripped': 1, 'blank': 1})

    Returns:
        The lines, also those that are blank; and the number of lines by what was done, without
        zeros.
    """
    composed = lines
    if not all(map(str.isascii, lines)):
        composed = [unicodedata.normalize("NFC", line) for line in lines]
    stripped = [line.strip().strip(BYTE_ORDER_MARK).strip() for line in composed]
    mended = {
        "composed": len(changed(lines, composed)),
        "stripped": sum(map(bool, changed(composed, stripped))),
        "blank": sum(not line for line in stripped),
    }
    return stripped, {key: count for key, count in mended.items() if count}


def changed(before: list[str], after: list[str]) -> list[str]:
    """Return the lines that are no longer what they were."""
    return [new for old, new in zip(before, after, strict=True) if old != new]


def refuse_table(names: list[str], source: str) -> None:
    """Refuse the lines of a table: nearly all have the same number of separators.

    Raises:
        InputError: see above.
    """
    text = "\n".join(names)
    for title, separator in SEPARATORS.items():
        if separator not in text:
            continue
        # one before a space is part of a name, as in "Apple, Inc."
        counts = Counter(name.count(separator) - name.count(f"{separator} ") for name in names)
        del counts[0]
        for count, lines in counts.most_common(1):
            if lines >= MIN_TABLE_SHARE * len(names):
                option = "" if separator == "\t" else f" -d{shlex.quote(separator)}"
                file = source.rpartition("/")[2] if "://" in source else source
                raise InputError(
                    f"{source}: a table, not a list of names: {lines:,} of {len(names):,} "
                    f"{'lines have' if len(names) > 1 else 'line has'} {count} "
                    f"{title}{'s' * (count > 1)}; use one of its columns: "
                    f"cut{option} -f1 {shlex.quote(file)} > column.txt && python -m tools.use "
                    "column.txt"
                )


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
    shown = repr(name if len(name) <= MAX_SHOWN_LENGTH else f"{name[:MAX_SHOWN_LENGTH]}…")
    others = ", ".join(map(str, bad[1 : MAX_SHOWN_LINES + 1]))
    more = f"; {len(bad) - 1:,} more such line{'s' * (len(bad) > 2)}: {others}" if others else ""
    dots = ", …" if len(bad) > MAX_SHOWN_LINES + 1 else ""
    raise InputError(f"{place} {bad[0]:,}: {shown} is not a name: {problem(name)}{more}{dots}")


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
    content = read_bytes(path)
    try:
        return content.decode("utf-8").removesuffix("\n").split("\n") if content else []
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; delete it and run `dvc repro`") from None
