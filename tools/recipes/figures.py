"""The figures of recipes: where our values come from, and tables of them beside the notebooks'."""

import json
from collections.abc import Iterator
from statistics import fmean, stdev
from typing import Any, NamedTuple, Self

from tabulate import tabulate

from charlm.core.errors import InputError
from charlm.tables import parse_rows
from tools.experiments import file_of, found
from tools.recipes import bands
from tools.recipes.catalog import Figure, Recipe

Value = float | str


class Result(NamedTuple):
    """One line of a table of results."""

    recipe: str
    figure: Figure
    ours: str

    @classmethod
    def of(cls, recipe: str, figure: Figure, values: list[Value]) -> Self:
        """Format a text, a count, or a value with its decimals; mean ± SD over seeds."""
        first = values[0]
        if isinstance(first, str):
            return cls(recipe, figure, first)
        if isinstance(first, int) and len({*values}) == 1:
            return cls(recipe, figure, f"{first:,}")
        numbers = [float(value) for value in values]
        spread = f" ± {stdev(numbers):.4f}" if len(numbers) > 1 else ""
        return cls(recipe, figure, f"{fmean(numbers):.4f}{spread}")

    @property
    def notebook(self) -> str:
        """Return the notebook's number as printed; nothing if there is none."""
        return self.figure.notebook or ""

    @property
    def verdict(self) -> str:
        """Say whether ours is where a correct run lies; nothing if that is not known."""
        if self.figure.band is None or not bands.numbers(self.ours):
            return ""
        return "inside" if self.figure.band.contains(self.ours) else "OUTSIDE"

    @property
    def agreement(self) -> str:
        """Say whether the notebook's number lies there; nothing if that is not known."""
        if self.figure.band is None or not self.notebook:
            return ""
        if self.figure.no_verdict:
            return f"no verdict: {self.figure.no_verdict}"
        found = self.figure.band.agreement(self.notebook)
        return f"differs: {self.figure.why}" if found == "differs" else found


def value(figure: Figure, content: bytes) -> Value:
    """Find a figure in the content of its file; a whole number is an int.

    >>> value(Figure(what="", file="a.json", key="nll.mlp"), b'{"nll": {"mlp": 2.1}}')
    2.1
    >>> row = Figure(what="", file="a.csv", key="nll", where={"step": 9})
    >>> value(row, b"step,nll\\n0,3.2\\n9,2.5\\n")
    2.5

    Raises:
        InputError: it is not there.
    """
    try:
        if figure.file.endswith(".csv"):
            return value_in_csv(figure, content)
        return value_in_json(json.loads(content), figure.key)
    except (KeyError, TypeError, ValueError, StopIteration):
        where = f" where {figure.where}" if figure.where else ""
        raise InputError(f"{figure.file}: no number at {figure.key}{where}") from None


def value_in_json(content: Any, key: str) -> Value:
    """Find a number by a dotted key; a list becomes a short text, `length` of it is its length.

    >>> value_in_json([".", "a"], ""), value_in_json([".", "a"], "length")
    ('`. 0, a 1`', 2)
    """
    for part in filter(None, key.split(".")):
        is_length = part == "length" and isinstance(content, list)
        content = len(content) if is_length else content[part]
    if isinstance(content, list):
        numbered = [f"{item} {number}" for number, item in enumerate(content)]
        shown = numbered if len(numbered) < 8 else [*numbered[:3], "...", *numbered[-3:]]
        return f"`{', '.join(shown)}`"
    return content if isinstance(content, int) else float(content)


def value_in_csv(figure: Figure, content: bytes) -> float:
    """Find a number in the first row that `where` describes."""
    wanted = {column: str(cell) for column, cell in (figure.where or {}).items()}
    numbered = ({"row": str(number)} | row for number, row in enumerate(parse_rows(content)))
    cell = next(row[figure.key] for row in numbered if row.items() >= wanted.items())
    return int(cell) if cell.isdecimal() else float(cell)


def results(recipes: dict[str, Recipe]) -> Iterator[Result]:
    """Yield the figures of recipes whose experiments exist."""
    for name, recipe in recipes.items():
        commits = commits_of(recipe, name)
        for figure in recipe.figures:
            yield Result.of(name, figure, values(figure, commits))


def commits_of(recipe: Recipe, name: str) -> list[str]:
    """Return the commits of a recipe's experiments, which have been run under this name."""
    return [found(*experiment) for experiment in recipe.experiments(name).items()]


def values(figure: Figure, commits: list[str]) -> list[Value]:
    """Find a figure in each of some commits.

    Raises:
        InputError: one does not have it.
    """
    return [value(figure, file_of(commit, figure.file)) for commit in commits]


def table(rows: list[Result], style: str) -> str:
    """Return results as a table in one of tabulate's styles."""
    cells = [
        (
            row.recipe if number == 0 or rows[number - 1].recipe != row.recipe else "",
            row.figure.what,
            row.notebook,
            row.ours,
            row.figure.band.shown if row.figure.band else "",
            row.verdict,
            row.agreement,
        )
        for number, row in enumerate(rows)
    ]
    headers = ("recipe", "figure", "notebook", "ours", "plain loop", "ours is", "the notebook")
    align = ("left", "left", "right", "right", "right", "left", "left")
    return tabulate(cells, headers, tablefmt=style, disable_numparse=True, colalign=align)
