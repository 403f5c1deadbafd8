from pathlib import Path

import pytest

from charlm import names, storage
from charlm.errors import InputError


@pytest.mark.parametrize("content", [b"emma\nava", b"emma\nava\n"])
def test_names_with_and_without_a_final_newline(content: bytes):
    assert names.parse_names(content, "list") == ["emma", "ava"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "list: contains no names; one name per line is needed$"),
        (b"\n", "list: contains no names; one name per line is needed$"),
        (b"emma\n\nava\n", "list, line 2: '' is not a name: the line is empty; remove it$"),
        (b"emma\n ava\n", "list, line 2: ' ava' is not a name: it begins or ends with a space;"),
        (
            b"emma\r\nava\r\n",
            r"list, line 1: 'emma\\r' is not a name: the line ends as on Windows;",
        ),
        (b"emma\na.va\n", r"list, line 2: 'a.va' is not a name: it contains '\.', which marks"),
        (b"emma\nav\xe9\n", "list, line 2: byte 0xe9 is not UTF-8"),
        (b"\xef\xbb\xbfemma\n", "list: begins with a byte-order mark"),
        (b"emma\na\x00va\n", r"list, line 2: 'a\\x00va' is not a name: it contains the control"),
        (
            b"emma\na\tva\n",
            r"list, line 2: 'a\\tva' is not a name: it contains the control character '\\t'",
        ),
        ("emma\nzoe\u0308\n".encode(), "list, line 2: .* is not in Unicode normal form C"),
        (b"emma\n" + b"a" * 10_001, "list, line 2: 'a{50}…' is not a name: it has 10,001 char"),
        (b"emma\n" + b"a" * 10_000_000, "list, line 2: 'a{50}…' is not a name"),
        (b"emma\nava \n", "list, line 2: 'ava ' is not a name"),
        (b"<!DOCTYPE html>\n<html>\n\n</html>", "list, line 3: '' is not a name"),
    ],
)
def test_anything_but_a_list_of_names_is_refused_with_its_line(content: bytes, message: str):
    with pytest.raises(InputError, match=message):
        names.parse_names(content, "list")


def test_longest_allowed_name_is_a_name():
    name = "a" * names.MAX_NAME_LENGTH
    assert names.parse_names(name.encode(), "list") == [name]


@pytest.mark.parametrize(
    "lines",
    [["Emma", "mary ann", "o'neil"], ["Şəhla", "Çinarə"], ["さくら", "陽菜"], ["👨‍👩‍👧", "zoë"]],
)
def test_names_of_other_alphabets_and_kinds_are_names(lines: list[str]):
    assert names.parse_names("\n".join(lines).encode(), "list") == lines


def test_lines_written_are_names_read(tmp_path: Path):
    for lines in (["emma", "zoë"], []):
        storage.write_lines(tmp_path / "names.txt", lines)
        assert names.read_names(tmp_path / "names.txt") == lines


def test_missing_list_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"names\.txt: not found$"):
        names.read_names(tmp_path / "names.txt")
