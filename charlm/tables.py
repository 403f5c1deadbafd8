"""Tables as csv files: floats with six decimals, NaN as an empty cell."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.storage import atomic_write

if TYPE_CHECKING:
    import pandas as pd


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a data frame without its index."""
    write_rows(path, [*table.columns], table.itertuples(index=False, name=None))


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write rows, one at a time, without the import of pandas.

    Args:
        path: of the file.
        columns: their names.
        rows: of text, numbers and bools, also numpy's.
    """
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell(value) for value in row] for row in rows)


def cell(value: object) -> str:
    """Return a value as it is written.

    >>> cell(2.0), cell(7), cell("ava"), cell(math.nan)
    ('2.000000', '7', 'ava', '')
    """
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6f}"
    return str(value)
