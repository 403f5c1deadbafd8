"""Run the notebooks' experiments and compare their numbers with those of the notebooks.

    python -m tools.recipes                 lists the recipes of recipes.yaml, and about how long
                                            each takes if DVC's cache has none of its results
    python -m tools.recipes NAME ...        runs these as DVC experiments of the same names
    python -m tools.recipes NAME -S mlp.lr=0.5
                                            runs NAME, and NAME with this change as the experiment
                                            NAME-mlp.lr=0.5, and shows both beside each other
    python -m tools.recipes --all --write   runs all, and renders their tables into NOTEBOOKS.md
    python -m tools.recipes PART --write    runs and renders one part of it, such as counting

The workspace stays as it was. An experiment that exists for the same code and parameters is not run
again.
"""

import json
import math
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any, Literal, NamedTuple, Self

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError
from tabulate import tabulate

from charlm import bands
from charlm.bands import Band
from charlm.core.errors import InputError
from charlm.core.runtime import argument_parser, run_tool
from charlm.core.storage import PLOTS, read_bytes, write_bytes
from charlm.core.yaml_files import parse_yaml
from charlm.experiments import PARAMS, estimate_s, file_of, found, overridden
from charlm.params import Section
from charlm.sweeps.local import run_all
from charlm.tables import parse_rows

RECIPES, NOTEBOOKS = Path("recipes.yaml"), Path("NOTEBOOKS.md")
PICTURES = PLOTS / "recipes"
Value = float | str
# As printed; a number without trailing zeros may stand without quotes.
Printed = Annotated[
    str,
    BeforeValidator(lambda found: f"{found:g}" if isinstance(found, int | float) else found),
    Field(pattern=r"^-?\d+(\.\d+)?$"),
]
Overrides = Annotated[list[str], AfterValidator(lambda lines: shlex.split(" ".join(lines)))]


class Figure(Section):
    """A number of a recipe: the place of ours, the notebook's, and where a correct run lies."""

    what: str
    file: str
    key: str  # see recipes.yaml
    where: dict[str, str | int] | None = None
    notebook: Printed | None = None
    why: str | None = None  # the notebook's differs from the plain loop's
    band: Band | None = None  # of the plain loop; `load` adds it


def expand(entries: Any) -> Any:
    """Turn each figure of a series, which has a list in `where`, into one figure per value.

    Raises:
        ValueError: the list in `notebook` is shorter or longer.
    """
    if not isinstance(entries, list):
        return entries
    try:
        return [figure for entry in entries for figure in series(entry)]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"not a series as described at the top: {error!r}") from None


def series(entry: Any) -> list[Any]:
    """Return the figures of one entry; see `expand`.

    >>> entry = {"what": "NLL at step {step}", "where": {"step": [0, 1]}, "notebook": [3.5, 3.25]}
    >>> [figure["what"] for figure in series(entry)]
    ['NLL at step 0', 'NLL at step 1']
    """
    where: Any = isinstance(entry, dict) and entry.get("where")
    lists = [key for key, cell in (where or {}).items() if isinstance(cell, list)]
    if not lists:
        return [entry]
    column = lists[0]
    cells, printed = where[column], entry.get("notebook") or [None] * len(where[column])
    if len(cells) != len(printed):
        counts = f"{len(cells)} values of {column}, {len(printed)} of notebook"
        raise ValueError(f"{entry['what']}: {counts}")
    figures = []
    for cell, notebook in zip(cells, printed, strict=True):
        what = entry["what"].format(**{column: cell})
        figure = entry | {"what": what, "where": where | {column: cell}, "notebook": notebook}
        figures.append(figure)
    return figures


class Recipe(Section):
    """An experiment, the question it answers, and its overrides as `dvc exp run -S` takes them."""

    question: str
    overrides: Overrides
    # an experiment each, and their mean and SD
    seeds: Annotated[list[int], Field(min_length=1)] | None = None
    seeded: Literal["bigram_neural", "find_learning_rate", "mlp"] = "mlp"  # whose seed
    figures: Annotated[list[Figure], BeforeValidator(expand)]
    note: str | None = None  # to read below the table
    picture: str | None = None  # to show there

    def experiments(self, name: str) -> dict[str, list[str]]:
        """Return the overrides of each of its experiments, by the experiment's name."""
        if self.seeds is None:
            return {name: self.overrides}
        return {
            f"{name}-seed-{seed}": [*self.overrides, f"{self.seeded}.seed={seed}"]
            for seed in self.seeds
        }

    def changed(self, changes: list[str]) -> Self:
        """Return the recipe with further overrides."""
        return self.model_copy(update={"overrides": [*self.overrides, *changes]})

    def with_bands(self, known: dict[str, Band]) -> Self:
        """Return the recipe with the bands of its figures."""
        figures = [
            figure.model_copy(update={"band": known.get(figure.what)}) for figure in self.figures
        ]
        return self.model_copy(update={"figures": figures})


class Group(Section):
    """Recipes that share a table."""

    title: str
    recipes: dict[str, Recipe]


class Row(NamedTuple):
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
        if self.figure.band.contains(self.notebook):
            return "agrees"
        return f"differs: {self.figure.why}"


def load(path: Path = RECIPES) -> dict[str, Group]:
    """Read and check recipes.yaml, and add the bands that are known.

    Raises:
        InputError: there is no such file, it does not fit the classes above, or two of its
            experiments have one name; or there are no bands.
    """
    try:
        content = yaml.safe_load(path.read_bytes()) or {}
        groups = {name: group for name, group in content.items() if name != "shared"}
        loaded = TypeAdapter(dict[str, Group]).validate_python(groups)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run from the repository root") from None
    except (yaml.YAMLError, AttributeError) as error:
        raise InputError(f"{path}: not groups of recipes: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(item) for item in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}; found {first['input']!r}") from None
    names = [
        experiment
        for group in loaded.values()
        for name, recipe in group.recipes.items()
        for experiment in recipe.experiments(name)
    ]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path}: {', '.join(twice)}: two experiments have this name")
    return with_bands(loaded, bands.load(path.parent / bands.PATH))


def with_bands(groups: dict[str, Group], loops: dict[str, bands.Entry]) -> dict[str, Group]:
    """Return groups whose figures have the values of the plain loop with the recipe's name."""
    return {
        group_name: group.model_copy(
            update={
                "recipes": {
                    name: recipe.with_bands(loops[name].figures if name in loops else {})
                    for name, recipe in group.recipes.items()
                }
            }
        )
        for group_name, group in groups.items()
    }


def duration(recipe: Recipe, settings: dict[str, Any]) -> str:
    """Return about how long a recipe takes, its experiments one per core."""
    rounds = math.ceil(len(recipe.seeds or [0]) / (os.cpu_count() or 1))
    seconds = rounds * estimate_s(settings, recipe.overrides)
    return f"{5 * round(seconds / 5)} s" if seconds < 90 else f"{round(seconds / 60)} min"


def name_of_change(name: str, changes: list[str]) -> str:
    """Return the name of a recipe with changes, as git and DVC take it.

    >>> name_of_change("final", ["mlp.lr=0.5", "evaluate.splits=[train, dev]"])
    'final-mlp.lr=0.5-evaluate.splits=train-dev'
    """
    joined = re.sub(r"[\[\] ]", "", "-".join([name, *changes]))
    plain = re.sub("[^A-Za-z0-9_.=+-]+", "-", joined)
    return re.sub(r"\.{2,}", ".", plain).strip(".-").removesuffix(".lock")


def check_changes(recipes: dict[str, Recipe], changes: list[str]) -> None:
    """Check that changes fit params.yaml and change each experiment of the recipes.

    Raises:
        InputError: they do not.
    """
    where = f"-S {' '.join(changes)}"
    for name, recipe in recipes.items():
        both = zip(
            recipe.experiments(name).items(),
            recipe.changed(changes).experiments(name).values(),
            strict=True,
        )
        for (experiment, before), after in both:
            if overridden(before) == overridden(after, where):
                raise InputError(f"{where}: changes nothing in {experiment} ({RECIPES})")


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


def results(recipes: dict[str, Recipe]) -> Iterator[Row]:
    """Yield the figures of recipes whose experiments exist."""
    for name, recipe in recipes.items():
        commits = commits_of(recipe, name)
        for figure in recipe.figures:
            yield Row.of(name, figure, values(figure, commits))


def commits_of(recipe: Recipe, name: str) -> list[str]:
    """Return the commits of a recipe's experiments, which have been run under this name."""
    return [found(*experiment) for experiment in recipe.experiments(name).items()]


def values(figure: Figure, commits: list[str]) -> list[Value]:
    """Find a figure in each of some commits.

    Raises:
        InputError: one does not have it.
    """
    return [value(figure, file_of(commit, figure.file)) for commit in commits]


def compare(recipes: dict[str, Recipe], changes: list[str]) -> str:
    """Return a table of the figures of recipes, without and with changes.

    A change can remove a figure: 50 steps have no loss at step 99.
    """
    rows = []
    for name, recipe in recipes.items():
        own = commits_of(recipe, name)
        changed = commits_of(recipe.changed(changes), name_of_change(name, changes))
        for number, figure in enumerate(recipe.figures):
            before = Row.of(name, figure, values(figure, own))
            try:
                after = Row.of(name, figure, values(figure, changed)).ours
            except InputError:
                after = "none"
            rows.append(
                (name if number == 0 else "", figure.what, before.notebook, before.ours, after)
            )
    headers = ("recipe", "figure", "notebook", "ours", " ".join(changes))
    align = ("left", "left", "right", "right", "right")
    return tabulate(rows, headers, disable_numparse=True, colalign=align)


def table(rows: list[Row], style: str) -> str:
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


def section(group: Group, rows: list[Row]) -> str:
    """Return one group's part of NOTEBOOKS.md: questions, table, notes and pictures."""
    names: dict[str, list[str]] = {}
    for name, recipe in group.recipes.items():
        if recipe.note:
            names.setdefault(recipe.note, []).append(f"`{name}`")
    parts = [
        [f"- `{name}`: {recipe.question}" for name, recipe in group.recipes.items()],
        [table(rows, "pipe")],
        [f"- {', '.join(noted)}: {note}" for note, noted in names.items()],
        [
            f'<img src="{picture_path(name, recipe.picture)}" width="800" alt="{name}">'
            for name, recipe in group.recipes.items()
            if recipe.picture
        ],
    ]
    return f"## {group.title}\n\n" + "\n\n".join(
        "\n".join(paragraph) for paragraph in parts if paragraph
    )


def picture_path(name: str, picture: str) -> Path:
    """Return where a recipe's picture is kept beside NOTEBOOKS.md."""
    return PICTURES / f"{name}_{Path(picture).name}"


def fill_in(text: str, name: str, content: str) -> str:
    """Put a part between its two marks in a text.

    >>> fill_in("a\\n<!-- recipes: x -->\\nold\\n<!-- end -->\\nb", "x", "new")
    'a\\n<!-- recipes: x -->\\nnew\\n<!-- end -->\\nb'

    Raises:
        InputError: the marks are not there.
    """
    marks = re.compile(rf"(<!-- recipes: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    filled, count = marks.subn(lambda found: f"{found[1]}{content}\n{found[2]}", text)
    if count != 1:
        raise InputError(f"{NOTEBOOKS}: needs <!-- recipes: {name} --> and <!-- end --> once")
    return filled


def written(name: str, group: Group, text: str) -> list[Row]:
    """Return the rows of a group that are in the text of NOTEBOOKS.md."""
    content = text.partition(f"<!-- recipes: {name} -->")[2].partition("<!-- end -->")[0]
    lines = [line.split("|") for line in content.splitlines() if line.startswith("|")][2:]
    figures = [(key, item) for key, recipe in group.recipes.items() for item in recipe.figures]
    return [Row(*figure, line[4].strip()) for figure, line in zip(figures, lines, strict=True)]


def write(groups: dict[str, Group], rows: dict[str, list[Row]]) -> None:
    """Put the results of these groups into NOTEBOOKS.md, and their pictures beside it."""
    text = read_bytes(NOTEBOOKS).decode()
    for name, group in groups.items():
        text = fill_in(text, name, section(group, rows[name]))
        for recipe_name, recipe in group.recipes.items():
            if recipe.picture:
                experiment = next(iter(recipe.experiments(recipe_name).items()))
                picture = file_of(found(*experiment), recipe.picture)
                write_bytes(picture_path(recipe_name, recipe.picture), picture)
    write_bytes(NOTEBOOKS, text.encode())


def rewrite(texts: dict[Path, str], tool: str, check: bool, command: str) -> None:
    """Write the files whose content is no longer this text.

    Args:
        texts: what each file should contain.
        tool: its name, for the messages.
        check: only report which files are outdated.
        command: what rewrites them.

    Raises:
        InputError: with `check`, some are outdated.
    """
    outdated = [
        path
        for path, text in texts.items()
        if not path.exists() or read_bytes(path).decode() != text
    ]
    found = ", ".join(map(str, outdated)) or "nothing"
    if check:
        if outdated:
            raise InputError(f"{tool}: outdated: {found}; run `{command}`")
        return
    for path in outdated:
        write_bytes(path, texts[path].encode())
    print(f"{tool}: rewrote {found}")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="recipes to run, or parts of them; none: list all"
    )
    parser.add_argument("--all", action="store_true", help="run every recipe")
    parser.add_argument("--write", action="store_true", help=f"render whole parts of {NOTEBOOKS}")
    parser.add_argument(
        "-S",
        "--set-param",
        dest="changes",
        metavar="PARAMETER=VALUE",
        action="append",
        default=[],
        help="run each recipe also with this change, as `dvc exp run` takes it; can be repeated",
    )
    arguments = parser.parse_args()
    groups = load()
    known = {name: recipe for group in groups.values() for name, recipe in group.recipes.items()}
    if unknown := set(arguments.names) - set(known) - set(groups):
        parser.error(
            f"no recipe {', '.join(sorted(unknown))}; `python -m tools.recipes` lists them, and "
            f"the parts are {', '.join(groups)}"
        )
    parts = {
        name: group for name, group in groups.items() if arguments.all or name in arguments.names
    }
    if arguments.write and not parts:
        parser.error("--write needs --all or a whole part")
    if arguments.changes and (arguments.write or not (arguments.names or arguments.all)):
        parser.error("-S needs recipes to change, and --write shows them as they are")
    if not arguments.names and not arguments.all:
        settings = parse_yaml(read_bytes(PARAMS))
        lines = [
            (key, duration(recipe, settings), recipe.question) for key, recipe in known.items()
        ]
        print(tabulate(lines, tablefmt="plain", colalign=("left", "right", "left")))
        return

    chosen = {
        name: recipe
        for group_name, group in groups.items()
        for name, recipe in group.recipes.items()
        if group_name in parts or name in arguments.names
    }
    changed = {}
    if arguments.changes:
        check_changes(chosen, arguments.changes)
        changed = {
            name_of_change(name, arguments.changes): recipe.changed(arguments.changes)
            for name, recipe in chosen.items()
        }
    run_all(
        {
            experiment: overrides
            for name, recipe in (chosen | changed).items()
            for experiment, overrides in recipe.experiments(name).items()
        }
    )
    if arguments.changes:
        print(compare(chosen, arguments.changes))
        return
    rows = {
        name: list(results({key: chosen[key] for key in group.recipes if key in chosen}))
        for name, group in groups.items()
    }
    print(table([row for group in rows.values() for row in group], "simple"))
    if arguments.write:
        write(parts, rows)


if __name__ == "__main__":
    run_tool(main)
