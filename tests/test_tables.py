from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from charlm import tables
from charlm.errors import InputError
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


@posix
def test_table_and_rows_that_cannot_be_written_are_one_line(tmp_path: Path):
    with no_room(), pytest.raises(InputError, match=r"table\.csv: not written: File too large$"):
        tables.write_table(tmp_path / "table.csv", pd.DataFrame({"nll": [1.0]}))
    with no_room(), pytest.raises(InputError, match=r"rows\.csv: not written: File too large$"):
        tables.write_rows(tmp_path / "rows.csv", ["nll"], [[1.0]])
    assert list(tmp_path.iterdir()) == []
