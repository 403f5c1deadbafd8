"""Recipes as audit/recipes.yaml has them, checked whole."""

import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from charlm.core.errors import InputError
from charlm.params import Section
from tools.recipes import bands
from tools.recipes.bands import Band

RECIPES = Path("audit/recipes.yaml")
# As printed; a number without trailing zeros may stand without quotes.
Printed = Annotated[
    str,
    BeforeValidator(lambda found: f"{found:g}" if isinstance(found, int | float) else found),
    Field(pattern=r"^-?\d+(\.\d+)?$"),
]
AnySection = TypeVar("AnySection", bound=Section)
Overrides = Annotated[list[str], AfterValidator(lambda lines: shlex.split(" ".join(lines)))]
Pictures = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda found: (found,) if isinstance(found, str) else tuple(found)),
]


class Figure(Section, frozen=False):
    """A number of a recipe: the place of ours, the notebook's, and where a correct run lies."""

    what: str
    file: str
    key: str  # see audit/recipes.yaml
    where: dict[str, str | int] | None = None
    notebook: Printed | None = None
    why: str | None = None  # the notebook's differs from the plain loop's
    no_verdict: str | None = None  # why the two cannot be compared
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
    picture: Pictures = ()  # to show there

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


class Group(Section):
    """Recipes that share a table."""

    title: str
    recipes: dict[str, Recipe]


def experiments(recipes: Iterable[tuple[str, Recipe]]) -> list[tuple[str, list[str]]]:
    """Return name and overrides of all experiments of recipes."""
    return [item for name, recipe in recipes for item in recipe.experiments(name).items()]


def read_sections(path: Path, kind: type[AnySection]) -> dict[str, AnySection]:
    """Read a YAML file of sections of one kind; `shared` only holds what others refer to.

    Raises:
        InputError: there is no such file, or a section is not of this kind.
    """
    try:
        content = yaml.safe_load(path.read_bytes())
        sections = {name: section for name, section in content.items() if name != "shared"}
        return TypeAdapter(dict[str, kind]).validate_python(sections)  # type: ignore[valid-type]
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run from the repository root") from None
    except (yaml.YAMLError, AttributeError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{path}: not sections by name in YAML: {why}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = first["msg"].removeprefix("Value error, ")
        found = "" if first["type"] == "value_error" else f"; found {first['input']!r}"
        raise InputError(f"{path}: {where}: {problem}{found}") from None


def load(path: Path = RECIPES) -> dict[str, Group]:
    """Read and check audit/recipes.yaml, and add the bands that are known.

    Raises:
        InputError: there is no such file, it does not fit the classes above, or two of its
            experiments have one name; or there are no bands.
    """
    loaded = read_sections(path, Group)
    recipes = [item for group in loaded.values() for item in group.recipes.items()]
    names = Counter(name for name, _ in experiments(recipes))
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise InputError(f"{path}: {', '.join(twice)}: two experiments have this name")
    loops = bands.load(path.with_name(bands.PATH.name))
    for name, recipe in recipes:
        for figure in recipe.figures:
            figure.band = loops[name].figures.get(figure.what) if name in loops else None
    return loaded
