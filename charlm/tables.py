"""Tables as csv files: floats with six decimals, NaN as an empty cell."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.core.errors import InputError
from charlm.core.storage import atomic_write

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a data frame without its index."""
    write_rows(path, [*table.columns], table.itertuples(index=False, name=None))


def write_facts(path: Path, facts: Mapping[str, object]) -> None:
    """Write named values, one per row."""
    rows = ((fact, exact(value)) for fact, value in facts.items())
    write_rows(path, ("fact", "value"), rows)


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write rows, one at a time, without the import of pandas.

    Args:
        path: of the file.
        columns: their names.
        rows: of text, numbers and bools, also numpy's.
    """
    cells_of = (
        [cell(value) if isinstance(value, float) else value for value in row] for row in rows
    )
    write_texts(path, columns, [join_rows(cells_of)])


def write_texts(path: Path, columns: Sequence[str], texts: Iterable[str]) -> None:
    """Write rows that are text already, a piece at a time.

    Args:
        path: of the file.
        columns: their names.
        texts: what `join_columns` or `join_rows` returned.
    """
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        file.write(join_rows([columns]))
        file.writelines(texts)


def join_rows(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as text, values quoted where csv requires it.

    >>> join_rows([["ava, b", 1], ["mia", 2]])
    '"ava, b",1\\nmia,2\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def join_columns(columns: Sequence[Sequence[str]]) -> str:
    """Return columns, two at least, as `join_rows` does rows; faster where nothing is quoted.

    >>> join_columns([["ava, b", "mia"], ["1", "2"]])
    '"ava, b",1\\nmia,2\\n'
    """
    rows = len(columns[0])
    text = "\n".join(map(",".join, zip(*columns, strict=True))) + "\n"
    separators = text.count(",") + text.count("\n")
    if '"' in text or "\r" in text or separators != rows * len(columns):
        return join_rows(zip(*columns, strict=True))
    return text


def cell(value: object) -> str:
    """Return a value as it is written.

    >>> cell(2.0), cell(7), cell("ava"), cell(math.nan)
    ('2.000000', '7', 'ava', '')
    """
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:z.6f}"
    return str(value)


def cells(column: "np.ndarray") -> list[str]:
    """Return the values of a column as `cell` does, in a fifth of the time.

    >>> import numpy as np
    >>> cells(np.array([2.0, math.nan])), cells(np.array(["ava"]))
    (['2.000000', ''], ['ava'])
    """
    values = column.tolist()
    if column.dtype.kind == "b":
        return ["True" if value else "False" for value in values]
    if column.dtype.kind != "f":
        return [*map(str, values)]
    texts = [*map("{:z.6f}".format, values)]
    has_nan = (column != column).any()
    return ["" if text == "nan" else text for text in texts] if has_nan else texts


def exact(value: object) -> str:
    """Return a value as it is written where four decimals may be shown: floats with nine.

    With fewer, some values would be rounded twice.

    >>> exact(1.9687498983), exact(0.5), exact(7), exact("ava")
    ('1.968749898', '0.5', '7', 'ava')

    Raises:
        InputError: it is NaN or infinite.
    """
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        raise InputError(f"a value is not finite: {value}")
    return str(round(value, 9) + 0.0)  # no negative zero


def parse_rows(content: bytes) -> list[dict[str, str]]:
    """Return the rows of a table, by column.

    Raises:
        ValueError: it is not UTF-8 or no table, or a row has fewer or more cells than columns.
    """
    try:
        header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    return [dict(zip(header, row, strict=True)) for row in rows]


def parse_facts(content: bytes) -> dict[str, str]:
    """Return the values that `write_facts` wrote, by name.

    Raises:
        ValueError: it is something else.
    """
    try:
        return {row["fact"]: row["value"] for row in parse_rows(content)}
    except KeyError as error:
        raise ValueError(f"no column {error}") from None
