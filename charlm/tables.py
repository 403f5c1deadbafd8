"""Tables as csv files: floats with six decimals, a missing value as an empty cell."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.storage import atomic_write, write_lines

if TYPE_CHECKING:
    import pandas as pd


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a data frame without its index."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[int | float]]) -> None:
    """Write rows of finite numbers as `write_table` would, without the import of pandas."""
    cells = (
        [f"{value:.6f}" if isinstance(value, float) else str(value) for value in row]
        for row in rows
    )
    write_lines(path, [",".join(row) for row in (columns, *cells)])
