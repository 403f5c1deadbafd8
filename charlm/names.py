"""Lists of names: one name per line, UTF-8."""

import re
import unicodedata
from pathlib import Path

from charlm.errors import InputError
from charlm.storage import read_bytes
from charlm.vocabulary import BOUNDARY

BYTE_ORDER_MARK = "\ufeff"
CONTROL_CHARACTER = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")  # all but the newline
MAX_NAME_LENGTH = 10_000  # characters; `sample.max_length` has the same limit
MAX_SHOWN_LENGTH = 50  # characters of a name in an error


def parse_names(content: bytes, source: str) -> list[str]:
    """Return the names of a list in UTF-8, one per line, with or without a final newline.

    >>> parse_names(b"emma\\nava", "names.txt")
    ['emma', 'ava']

    A character is a Unicode code point, in normal form C: one for é, several for a family emoji.

    Raises:
        InputError: no names, another encoding or normal form, or a line that is not a name.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise InputError(f"{source}, line {line}: byte 0x{byte:02x} is not UTF-8") from None
    lines = text.removesuffix("\n").split("\n")
    if lines == [""]:
        raise InputError(f"{source}: contains no names; one name per line is needed")
    if text.startswith(BYTE_ORDER_MARK):
        raise InputError(f"{source}: begins with a byte-order mark; save it as UTF-8 without one")
    # the whole text is searched first, because most lists contain nothing of the kind
    has_control_character = CONTROL_CHARACTER.search(text) is not None
    is_composed = unicodedata.is_normalized("NFC", text)
    for number, name in enumerate(lines, start=1):
        if (
            not name
            or name != name.strip()
            or BOUNDARY in name
            or len(name) > MAX_NAME_LENGTH
            or (has_control_character and CONTROL_CHARACTER.search(name))
        ):
            shown = repr(name if len(name) <= MAX_SHOWN_LENGTH else f"{name[:MAX_SHOWN_LENGTH]}…")
            raise InputError(f"{source}, line {number}: {shown} is not a name: {problem(name)}")
        if not is_composed and not unicodedata.is_normalized("NFC", name):
            raise InputError(
                f"{source}, line {number}: {name!r} is not in Unicode normal form C, where a "
                "letter and its accent are one character; convert the list to it"
            )
    return lines


def problem(line: str) -> str:
    """Return why a line is not a name, and what to do.

    >>> problem("ava ")
    'it begins or ends with a space; remove it'
    """
    if not line:
        return "the line is empty; remove it"
    if line.endswith("\r"):
        return "the line ends as on Windows; save the list with Unix line ends"
    if found := CONTROL_CHARACTER.search(line):
        return f"it contains the control character {found[0]!r}; remove it"
    if line != line.strip():
        return "it begins or ends with a space; remove it"
    if BOUNDARY in line:
        return f"it contains {BOUNDARY!r}, which marks the start and the end of a name; remove it"
    return f"it has {len(line):,} characters; at most {MAX_NAME_LENGTH:,} are allowed"


def read_names(path: Path) -> list[str]:
    """Return the names of a file that `fetch` has checked; an empty file contains none."""
    content = read_bytes(path)
    return parse_names(content, str(path)) if content else []
