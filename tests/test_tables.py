from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from charlm import tables
from charlm.core.errors import InputError
from tests.conftest import no_room, posix


def test_table_has_six_decimals_and_empty_cells(tmp_path: Path):
    tables.write_table(
        tmp_path / "t.csv", pd.DataFrame({"name": ["ava", "nan"], "nll": [1.23456789, None]})
    )
    assert (tmp_path / "t.csv").read_bytes() == b"name,nll\nava,1.234568\nnan,\n"


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(0, 3.2958368660043291), (1000, 2.0)],
        [(1, 0.0000005), (2, 0.00000049999), (3, -0.0), (4, 1234567.8901234567)],
        [(2**53 + 1, 1e-300), (0, 1e300)],
        [(np.int64(7), np.float64(0.1)), (np.int64(8), np.float64(2.5000005))],
    ],
)
def test_rows_have_the_same_bytes_as_the_same_table(tmp_path: Path, rows: list[tuple]):
    columns = ["step", "nll"]
    tables.write_rows(tmp_path / "rows.csv", columns, iter(rows))
    tables.write_table(tmp_path / "table.csv", pd.DataFrame(rows, columns=columns))
    written = (tmp_path / "rows.csv").read_bytes()
    assert written == (tmp_path / "table.csv").read_bytes()
    assert written.startswith(b"step,nll\n")
    assert written.count(b"\n") == 1 + len(rows)


def test_facts_are_text_and_numbers_of_nine_decimals(tmp_path: Path):
    path = tmp_path / "facts.csv"
    facts = {"dataset": "a, b.txt", "sha256": "0123", "lines": 32033, "weight": 0.1234567891}
    tables.write_facts(path, facts)
    assert path.read_bytes() == (
        b'fact,value\ndataset,"a, b.txt"\nsha256,0123\nlines,32033\nweight,0.123456789\n'
    )
    assert tables.parse_facts(path.read_bytes()) == {
        "dataset": "a, b.txt",
        "sha256": "0123",
        "lines": "32033",
        "weight": "0.123456789",
    }


@pytest.mark.parametrize("value", [-0.0, -1e-10, np.float64(-1e-10)])
def test_zero_has_no_sign(value: float):
    assert (tables.cell(value), tables.exact(value)) == ("0.000000", "0.0")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [["train", ""], ["dev", "0.5"]],
        [["a, b", 'c "d"'], ["'e'", " f "]],
        [["zoë", "花"], ["🙂", "\u2028"]],
    ],
)
def test_rows_that_are_written_are_read(tmp_path: Path, rows: list[list[str]]):
    tables.write_rows(tmp_path / "t.csv", ["split", "share"], rows)
    found = tables.parse_rows((tmp_path / "t.csv").read_bytes())
    assert [[*row.items()] for row in found] == [
        [("split", split), ("share", share)] for split, share in rows
    ]


@pytest.mark.parametrize("parse", [tables.parse_rows, tables.parse_facts])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"fact,value\nlines,3\xff\n",
        b"fact,value\nlines\n",
        b"fact,value\nlines,3,4\n",
        b"fact,value\n\nlines,3\n",
        b"fact,value\nlines," + b"3" * 200_000,  # more than the csv module takes
    ],
)
def test_damaged_table_is_refused(parse: Callable[[bytes], object], content: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 - of several sources
        parse(content)


@pytest.mark.parametrize("content", [b"a,value\nlines,3\n", b"fact,b\nlines,3\n", b"fact\nlines\n"])
def test_table_of_other_columns_has_no_facts(content: bytes):
    with pytest.raises(ValueError, match=r"^no column '(fact|value)'$"):
        tables.parse_facts(content)


@posix
def test_table_and_rows_that_cannot_be_written_are_one_line(tmp_path: Path):
    with no_room(), pytest.raises(InputError, match=r"table\.csv: not written: File too large$"):
        tables.write_table(tmp_path / "table.csv", pd.DataFrame({"nll": [1.0]}))
    with no_room(), pytest.raises(InputError, match=r"rows\.csv: not written: File too large$"):
        tables.write_rows(tmp_path / "rows.csv", ["nll"], [[1.0]])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "names",
    [
        ["ava", "mia"],
        ["a,b", "mia"],
        ['a"b', "mia"],
        ["a\nb", "mia"],
        ["a\rb", "mia"],
        ["", ""],
        [],
    ],
)
def test_columns_are_written_as_their_rows(names: list[str]):
    columns = [names, [*map(str, range(len(names)))]]
    assert tables.join_columns(columns) == tables.join_rows(zip(*columns, strict=True))
