import gzip
import unicodedata
from pathlib import Path

import pytest

from charlm import names
from charlm.core import storage
from charlm.core.errors import InputError
from charlm.names import NameList

# what is mended in a list, and what was done to how many lines
MENDED = {
    "nothing": (b"emma\nava\n", ["emma", "ava"], {}),
    "no final newline": (b"emma\nava", ["emma", "ava"], {}),
    "byte-order mark": (b"\xef\xbb\xbfemma\nava\n", ["emma", "ava"], {"byte_order_mark": 1}),
    "Windows line ends": (b"emma\r\nava\r\n", ["emma", "ava"], {"line_ends": 2}),
    "Windows, the last one missing": (b"emma\r\nava", ["emma", "ava"], {"line_ends": 1}),
    "old Mac line ends": (b"emma\rava\r", ["emma", "ava"], {"line_ends": 2}),
    "line ends of each kind": (b"emma\rava\r\nmia\n", ["emma", "ava", "mia"], {"line_ends": 2}),
    "blank line between": (b"emma\n\nava\n", ["emma", "ava"], {"blank": 1}),
    "blank lines at the end": (b"emma\nava\n\n\n", ["emma", "ava"], {"blank": 2}),
    "blank line first": (b"\nemma\n", ["emma"], {"blank": 1}),
    "lines of blanks": (b"emma\n  \n\t\nava\n", ["emma", "ava"], {"blank": 2}),
    "spaces": (b" emma\nava \nmary ann\n", ["emma", "ava", "mary ann"], {"stripped": 2}),
    "no-break space": ("emma\u00a0\nava\n".encode(), ["emma", "ava"], {"stripped": 1}),
    "ideographic space": ("\u3000愛子\n陽 菜\n".encode(), ["愛子", "陽 菜"], {"stripped": 1}),
    "tabs at the ends": (b"\temma\nava\t\n", ["emma", "ava"], {"stripped": 2}),
    "a second byte-order mark": (
        "\ufeffemma\n\ufeffava\n".encode(),
        ["emma", "ava"],
        {"byte_order_mark": 1, "invisible": 1},
    ),
    "direction marks": (
        "\u200eגד\u200f\n\u202bדב\u202c\nתמר\n\u2067אבשלם\u2069\n".encode(),
        ["גד", "דב", "תמר", "אבשלם"],
        {"invisible": 3},
    ),
    "other invisible characters": (
        "\u200bemma\u00ad\nava\u2060 \n\u200cmia\u200c\n".encode(),
        ["emma", "ava", "mia"],
        # the space, then what was before it
        {"stripped": 1, "invisible": 3},
    ),
    "a line of invisible characters": (
        "emma\n\u200e \u200b\nava\n".encode(),
        ["emma", "ava"],
        {"blank": 1},
    ),
    "invisible inside": (
        "می\u200cکنم\nא\u200eב\n".encode(),
        ["می\u200cکنم", "א\u200eב"],
        {},
    ),
    # the last letter of "avan" in older Malayalam is NA, virama, joiner
    "joiner at the end": ("അവന്\u200d\u200e\n".encode(), ["അവന്\u200d"], {"invisible": 1}),
    "accents stored apart": (
        "zoe\u0308\nava\nlea\u0301\n".encode(),
        ["zoë", "ava", "leá"],
        {"composed": 2},
    ),
    "everything at once": (
        "\ufeffzoe\u0308\u00a0\r\n\r\n ava\r\n\u3000\r\nmia\n".encode(),
        ["zoë", "ava", "mia"],
        {"byte_order_mark": 1, "line_ends": 4, "composed": 1, "stripped": 2, "blank": 2},
    ),
}


@pytest.mark.parametrize(("content", "expected", "mended"), MENDED.values(), ids=MENDED)
def test_list_is_read_as_it_is_meant(content: bytes, expected: list[str], mended: dict[str, int]):
    found = names.parse_list(content, "list")
    assert found == NameList(expected, mended)
    # what was mended needs nothing more
    assert names.parse_list("\n".join(found.names).encode(), "list") == NameList(expected, {})


@pytest.mark.parametrize(
    "lines",
    [
        ["Emma", "mary ann", "o'neil"],
        ["Şəhla", "Çinarə"],
        ["さくら", "陽菜"],
        ["👨‍👩‍👧", "zoë"],
        ["St. Louis", "Dinosaur Jr.", "...", "."],
        ["Apple, Inc.", "Alphabet, Inc.", "Johnson & Johnson"],
        ["<START>", "<.>", "<b>"],
        ["name", "ava"],
        ["-", ",", ";", "#1", '"'],
    ],
)
def test_names_of_other_alphabets_and_kinds_are_names(lines: list[str]):
    assert names.parse_list("\n".join(lines).encode(), "list") == NameList(lines, {})


JSON = "list: JSON, not a list of names; write the names one per line"
NO_NAMES = "list: contains no names; one name per line is needed"
PAGE = (
    "list: a page of HTML or XML, not a list of names; use the address of the list itself, such as "
    "that of the raw file"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", NO_NAMES),
        (b"\n", NO_NAMES),
        (b"\xef\xbb\xbf", NO_NAMES),
        ("\r\n \u00a0\n\u3000\n\t".encode(), NO_NAMES),
        (
            b"emma\nav\xe9\nmia\n",
            "list, line 2: byte 0xe9 is not UTF-8; save the list as UTF-8",
        ),
        (
            b"emma\r\nava\rzo\xeb\r",
            "list, line 3: byte 0xeb is not UTF-8; save the list as UTF-8",
        ),
        (
            "emma\nava\n".encode("utf-16"),
            "list, line 1: byte 0xff is not UTF-8; save the list as UTF-8",
        ),
        (
            b"\xfe\xff" + "emma\n".encode("utf-16-be"),
            "list, line 1: byte 0xfe is not UTF-8; save the list as UTF-8",
        ),
        (b"<!DOCTYPE html>\n<html>\n\n</html>", PAGE),
        (b"\xef\xbb\xbf\r\n <HTML lang='en'>", PAGE),
        (b'<?xml version="1.0"?>\n<names/>', PAGE),
        (
            b"emma\na\x07va\n",
            (
                r"list, line 2: 'a\x07va' is not a name: it contains the control character '\x07'; "
                "remove it"
            ),
        ),
        (
            "emma\na\u2028va\n".encode(),
            (
                r"list, line 2: 'a\u2028va' is not a name: it contains the control character "
                r"'\u2028'; remove it"
            ),
        ),
        (
            b"\nemma\na\tva\n",
            (
                r"list, line 3: 'a\tva' is not a name: it contains a tab; replace it with a space, "
                "or take one column of the table"
            ),
        ),
        (
            b"emma\n" + b"a" * 10_001,
            (
                f"list, line 2: '{'a' * 50}…' is not a name: it has 10,001 characters; at most "
                "10,000 are allowed"
            ),
        ),
        (
            b"a\x01b\nemma\nava\na\tb\n" + b"a\x02b\n",
            (
                r"list, line 1: 'a\x01b' is not a name: it contains the control character '\x01'; "
                "remove it; 2 more such lines: 4, 5"
            ),
        ),
        (
            b"a\x01b\n" * 6 + b"emma\n",
            (
                r"list, line 1: 'a\x01b' is not a name: it contains the control character '\x01'; "
                "remove it; 5 more such lines: 2, 3, 4, 5, 6"
            ),
        ),
        (
            b"a\x01b\n" * 1_200,
            (
                r"list, line 1: 'a\x01b' is not a name: it contains the control character '\x01'; "
                "remove it; 1,199 more such lines: 2, 3, 4, 5, 6, …"
            ),
        ),
        (b'{"names": []}', JSON),
        *[
            (content, f"{JSON}, as `python -m tools.use list --column 1` does")
            for content in (b'["Ada", "Bea"]', b'\n[\n  "Ada",\n  "Bea"\n]\n', b'{"Ada": 5}')
        ],
        (
            b'[{"n": 1, "name": "Ada"}]',
            f"{JSON}, as `python -m tools.use list --column 2` does",
        ),
    ],
)
def test_what_is_no_list_is_refused_with_the_reason(content: bytes, message: str):
    with pytest.raises(InputError) as error:
        names.parse_list(content, "list")
    assert str(error.value) == message


@pytest.mark.parametrize(
    "content",
    [
        b"emma\na\0va\n",
        "emma\nava\n".encode("utf-16-le"),
        b"%PDF-1.7\n1 0 obj\n",
        b"{\\rtf1\\ansi Ada\\par\n",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        b"PK\x03\x04\x14\x00\x00\x00",
        b"PK\x03\x04\x14\xff\xfe",
        gzip.compress(b"emma\nava\n", mtime=0),
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
    ],
)
def test_binary_file_is_refused_with_its_first_bytes(content: bytes):
    with pytest.raises(InputError) as error:
        names.parse_list(content, "list")
    assert str(error.value) == (
        f"list: not text (it begins {content[:8]!r}); a list of names in UTF-8 is needed, one per "
        "line"
    )


TABLES = {
    "commas": (b"Ada,F,100\r\nBea,F,99\r\n", "1: 'Ada,F,100'", "2 of 2 lines have 2 commas", 1),
    "one comma": (b"Ada,100\nBea,99\n", "1: 'Ada,100'", "2 of 2 lines have 1 comma", 1),
    "tabs": (b"Ada\tF\nBea\tF\n", r"1: 'Ada\tF'", "2 of 2 lines have 1 tab", 1),
    "after a blank line": (
        b"\nAda;F;1\n\nBea;F;2\n",
        "2: 'Ada;F;1'",
        "2 of 2 lines have 2 semicolons",
        1,
    ),
    "rank first": (b"1,Ada\n2,Bea\n", "1: '1,Ada'", "2 of 2 lines have 1 comma", 2),
    "nine of ten": (b"Cy\n" + b"Ada,F\n" * 9, "2: 'Ada,F'", "9 of 10 lines have 1 comma", 1),
    "one line": (b"Ada,Bea", "1: 'Ada,Bea'", "1 of 1 line has 1 comma", 1),
    "markup": (b"- Ada\n- Bea\n", "1: '- Ada'", "2 of 2 lines have a bullet", 1),
}


@pytest.mark.parametrize(("content", "line", "what", "column"), TABLES.values(), ids=TABLES)
def test_table_is_refused_with_the_command_that_takes_a_column(
    content: bytes, line: str, what: str, column: int
):
    for source, argument in {
        "names.txt": "names.txt",
        "my lists/it's.csv": """'my lists/it'"'"'s.csv'""",
        "https://example.org/a.csv?v=1": "'https://example.org/a.csv?v=1'",
    }.items():
        with pytest.raises(InputError) as error:
            names.parse_list(content, source)
        assert str(error.value) == (
            f"{source}, line {line} is not a plain name: {what}; run `python -m tools.use "
            f"{argument} --column {column}` for the names in it, or `python -m tools.use "
            f"{argument} --as-is` if every line is one"
        )


def test_lines_like_those_of_a_table_can_be_meant():
    lines = ["1,2-dichlorobenzene", "1,3-dichlorobenzene", "1,4-dichlorobenzene"]
    content = "\n".join(lines).encode()
    with pytest.raises(InputError, match="3 of 3 lines have 1 comma"):
        names.parse_list(content, "list")
    assert names.parse_list(content, "list", any_lines=True) == NameList(lines, {})
    with pytest.raises(InputError, match="contains a tab"):
        names.parse_list(b"a\tb\nc\td\n", "list", any_lines=True)


@pytest.mark.parametrize(
    "lines",
    [
        ["Ada,F"] * 89 + ["Bea"] * 11,
        ["Ada,F", "Bea,F,1", "Cleo,F,1,2"],  # no number of commas has 90 % of the lines
        ["Apple, Inc."] * 10,
        ["Ada; F"] * 10,
        ["Ada,F"] * 5 + ["Bea;F"] * 5,
    ],
)
def test_separators_that_make_no_table_are_part_of_names(lines: list[str]):
    assert names.parse_list("\n".join(lines).encode(), "list") == NameList(lines, {})


def test_longest_allowed_name_is_a_name():
    name = "a" * names.MAX_NAME_LENGTH
    assert names.parse_list(name.encode(), "list") == NameList([name], {})


def test_single_names_are_mended_as_those_of_a_list():
    found = names.parse_names([" ava ", "", "zoe\u0308", "St. Elm"], "argument")
    assert found == ["ava", "zoë", "St. Elm"]
    assert unicodedata.is_normalized("NFC", found[1])
    with pytest.raises(InputError, match=r"^argument 2: 'a\\nb' is not a name: "):
        names.parse_names(["ava", "a\nb"], "argument")


def test_lines_written_are_names_read(tmp_path: Path):
    for lines in (["emma", "zoë"], []):
        storage.write_lines(tmp_path / "names.txt", lines)
        assert names.read_names(tmp_path / "names.txt") == lines


def test_missing_list_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"names\.txt: not found$"):
        names.read_names(tmp_path / "names.txt")
