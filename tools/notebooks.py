"""Write the pages of docs/notebooks/ from notebooks.yaml: what the notebooks print, ask and draw.

    python -m tools.notebooks            writes them
    python -m tools.notebooks --check    writes nothing, and fails if one is outdated

One page per notebook, in its own order. The values of recipes are those that NOTEBOOKS.md shows, so
no recipe runs.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from charlm.errors import InputError
from charlm.params import Section
from charlm.runtime import argument_parser, run_tool
from charlm.storage import read_bytes
from tools import recipes

SOURCE, FOLDER, PIPELINE = Path("notebooks.yaml"), Path("docs/notebooks"), Path("dvc.yaml")
SUBJECTS = ("what", "question", "plot")
WAYS = ("recipe", "command", "needs", "left_out", "answer")
NEEDED = ("figure", "loop", "recipe", "test")  # what `needs` begins with
PYTEST = re.compile(r"pytest (tests/\S+\.py)(?: -k (\w+))?")
MODULE = re.compile(r"python -m ((?:benchmarks|stages|tools)\.\w+)")
RECIPE = re.compile(r"python -m tools\.recipes ([a-z][\w.-]*)")
FILE = re.compile(
    r"(?<![\w/.])(?:(?:benchmarks|charlm|data|docs|metrics|plots|stages|tests|tools)/[\w./-]*\w"
    r"|(?:dvc|notebooks|params|recipes)\.yaml|(?:CONTRIBUTING|NOTEBOOKS|README)\.md)"
)
Figures = Annotated[
    list[str],
    BeforeValidator(lambda found: [found] if isinstance(found, str) else found),
    Field(min_length=1),
]
Ours = dict[tuple[str, str], str]  # value by recipe and figure


class Item(Section):
    """What a notebook prints, asks or draws, and what gives it here; see notebooks.yaml."""

    what: str | None = None
    question: str | None = None
    plot: str | None = None
    printed: str | None = None
    recipe: str | None = None
    figure: Figures | None = None
    command: str | None = None
    here: str | None = None
    needs: str | None = None
    left_out: str | None = None
    answer: str | None = None
    agreement: Literal["exact", "float32", "seeded", "unseeded"] | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        keys = self.keys
        ways = keys & {*WAYS}
        if len(keys & {*SUBJECTS}) != 1:
            raise ValueError(f"needs exactly one of {', '.join(SUBJECTS)}")
        if len(ways) != 1 and (ways != {"recipe", "needs"} or "figure" in keys):
            raise ValueError(
                f"{self.text!r} needs exactly one of {', '.join(WAYS)}; a recipe without a figure "
                "may have needs"
            )
        if self.needs is not None and not self.needs.startswith(NEEDED):
            raise ValueError(f"{self.text!r}: needs begins with {', '.join(NEEDED)}")
        for key, other in (
            ("figure", "recipe"),
            ("here", "command"),
            ("printed", "what"),
            ("answer", "question"),
        ):
            if key in keys and other not in keys:
                raise ValueError(f"{self.text!r}: {key} without {other}")
        if ("agreement" in keys) != ("what" in keys and "left_out" not in keys):
            raise ValueError(f"{self.text!r}: agreement belongs to figures that are not left out")
        if "what" in keys and "printed" not in keys:
            raise ValueError(f"{self.text!r}: what without printed")
        if "what" in keys and "recipe" in keys and not keys & {"figure", "needs"}:
            raise ValueError(f"{self.text!r}: recipe without figure or needs")
        return self

    @property
    def keys(self) -> set[str]:
        """The keys that it has."""
        return {*self.model_dump(exclude_none=True)}

    @property
    def text(self) -> str:
        """What it is, in words."""
        return self.what or self.question or self.plot or ""

    @property
    def way(self) -> str:
        """The one of WAYS that gives it; `needs` if something is missing."""
        return "needs" if self.needs is not None else next(key for key in WAYS if key in self.keys)


class Cells(Section):
    """The cells below a heading of a notebook."""

    heading: str
    items: Annotated[list[Item], Field(min_length=1)]


class Erratum(Section):
    """What a notebook gets wrong."""

    place: str
    wrong: str
    right: str
    shown: str
    listed: bool


class Notebook(Section):
    """A notebook, in its order."""

    title: str
    sections: list[Cells]
    errata: list[Erratum]

    @property
    def items(self) -> list[Item]:
        """All items of all sections."""
        return [item for section in self.sections for item in section.items]


def load(path: Path = SOURCE) -> dict[str, Notebook]:
    """Read notebooks.yaml.

    Raises:
        InputError: there is no such file, or it does not fit the classes above.
    """
    try:
        content = yaml.safe_load(path.read_bytes())
        return TypeAdapter(dict[str, Notebook]).validate_python(content)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run from the repository root") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join((".".join(map(str, first["loc"])), ": " * bool(first["loc"])))
        problem = first["msg"].removeprefix("Value error, ")
        found = "" if first["type"] == "value_error" else f"; found {first['input']!r}"
        raise InputError(f"{path}: {where}{problem}{found}") from None


def check(notebooks: dict[str, Notebook], groups: dict[str, recipes.Group]) -> None:
    """Check that the recipes, figures, tests and files that are named exist.

    Raises:
        InputError: names the first one that does not.
    """
    known = {name: recipe for group in groups.values() for name, recipe in group.recipes.items()}
    outputs = declared_outputs()
    for name, notebook in notebooks.items():
        for section in notebook.sections:
            for item in section.items:
                texts = (item.command, item.needs, item.left_out, item.answer)
                missing = [
                    *missing_recipe(item, known),
                    *(
                        found
                        for text in texts
                        if text
                        for found in missing_in(text, known, outputs)
                    ),
                ]
                if missing:
                    place = f"[{name}] {section.heading}: {item.text}"
                    raise InputError(f"{SOURCE}: {place}: there is no {missing[0]}")
        for erratum in notebook.errata:
            for found in missing_in(erratum.shown, known, outputs):
                place = f"[{name}] erratum in {erratum.place}"
                raise InputError(f"{SOURCE}: {place}: there is no {found}")


def missing_recipe(item: Item, known: dict[str, recipes.Recipe]) -> Iterator[str]:
    """Yield what an item wants of recipes.yaml that is not there."""
    if item.recipe is None:
        return
    if item.recipe not in known:
        yield f"recipe {item.recipe}"
        return
    recipe = known[item.recipe]
    have = {figure.what for figure in recipe.figures}
    yield from (
        f"figure {figure!r} of recipe {item.recipe}"
        for figure in item.figure or []
        if figure not in have
    )
    if item.plot and not recipe.picture:
        yield f"picture of recipe {item.recipe}"


def missing_in(text: str, known: Collection[str], outputs: Collection[str]) -> Iterator[str]:
    """Yield the files, programs, tests and recipes that a text names and that do not exist.

    >>> list(missing_in("`pytest tests/test_split.py -k nobody`; docs/design.md", [], []))
    ['test nobody in tests/test_split.py']

    Args:
        text: in Markdown.
        known: names of the recipes.
        outputs: files that the stages write.
    """
    for path in FILE.findall(text):
        if not Path(path).exists() and path not in outputs:
            yield f"file {path}"
    for path, name in PYTEST.findall(text):
        if name and Path(path).exists():
            tests = re.findall(r"^def (test_\w+)", Path(path).read_text("utf-8"), re.MULTILINE)
            if not any(name in test for test in tests):
                yield f"test {name} in {path}"
    for module in MODULE.findall(text):
        if not Path(module.replace(".", "/")).with_suffix(".py").exists():
            yield f"program {module}"
    yield from (f"recipe {name}" for name in RECIPE.findall(text) if name not in known)


def declared_outputs() -> set[str]:
    """Return the files that the stages write; in a fresh clone, those of data/ do not exist."""
    stages = yaml.safe_load(read_bytes(PIPELINE))["stages"].values()
    entries = [
        entry
        for stage in stages
        for kind in ("outs", "metrics", "plots")
        for entry in stage.get(kind, [])
    ]
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def values(groups: dict[str, recipes.Group]) -> Ours:
    """Return the values of all recipes' figures as NOTEBOOKS.md shows them.

    Raises:
        InputError: its tables do not have the rows of recipes.yaml.
    """
    text = read_bytes(recipes.NOTEBOOKS).decode()
    found: Ours = {}
    for name, group in groups.items():
        try:
            rows = recipes.written(name, group, text)
        except (ValueError, IndexError):
            raise InputError(
                f"{recipes.NOTEBOOKS}: part {name} does not have the rows of {recipes.RECIPES}; "
                f"run `python -m tools.recipes {name} --write`"
            ) from None
        found |= {(row.recipe, row.figure.what): row.ours for row in rows}
    return found


def escaped(text: str) -> str:
    r"""Return Markdown that shows a text as it is, with links to the files of git that it names.

    >>> escaped("`a|b` of <START> in docs/design.md")
    '`a\\|b` of \\<START> in [docs/design.md](../design.md)'
    """
    parts = text.split("`")
    parts[1::2] = [part.replace("|", r"\|") for part in parts[1::2]]
    parts[::2] = [FILE.sub(link, re.sub(r"([\\*<|])", r"\\\1", part)) for part in parts[::2]]
    return "`".join(parts)


def link(found: re.Match[str]) -> str:
    """Return a link from a page to a file of git; the bare path if it is not in git."""
    path = found[0]
    if path.startswith("data/") or not Path(path).exists():
        return path
    return f"[{path}]({Path(os.path.relpath(path, FOLDER)).as_posix()})"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; its cells are not padded, so that a change is one line.

    >>> print(table(("a", "b"), [("1", "")]))
    | a | b |
    |---|---|
    | 1 |  |
    """
    lines = [f"| {' | '.join(cells)} |" for cells in (headers, *rows)]
    return "\n".join((lines[0], "|---" * len(headers) + "|", *lines[1:]))


def how(item: Item) -> str:
    """Return how to get an item."""
    if item.needs is not None:
        recipe = f"`{item.recipe}`, " if item.recipe else ""
        return f"not yet: {recipe}{escaped(item.needs)}"
    if item.recipe is not None:
        return f"`python -m tools.recipes {item.recipe}`"
    return escaped(item.command or "")


def here(item: Item, ours: Ours) -> str:
    """Return the value here; nothing where only the command shows it."""
    if item.recipe and item.figure:
        found = {figure: ours[item.recipe, figure] for figure in item.figure}
        is_claim = item.text.startswith("claim: ")  # of a number that may be another one
        return ", ".join(f"{key} {value}" if is_claim else value for key, value in found.items())
    is_tested = item.command and PYTEST.search(item.command)
    return escaped(item.here or ("the same" if is_tested else ""))


def cells(section: Cells, ours: Ours) -> str:
    """Return what a page has below one heading of the notebook."""
    shown = [item for item in section.items if item.way != "left_out"]
    rows = [
        (
            escaped(item.what),
            escaped(item.printed or ""),
            here(item, ours),
            item.agreement or "",
            how(item),
        )
        for item in shown
        if item.what
    ]
    lists = {
        "Questions": [
            f"**{escaped(item.question)}** {escaped(item.answer) if item.answer else how(item)}"
            for item in shown
            if item.question
        ],
        "Plots": [f"{escaped(item.plot)}: {how(item)}" for item in shown if item.plot],
        "Left out": [
            f"{escaped(item.text)}{f' ({escaped(item.printed)})' if item.printed else ''}: "
            f"{escaped(item.left_out)}"
            for item in section.items
            if item.left_out
        ],
    }
    parts = [f"## {escaped(section.heading)}"]
    if rows:
        parts.append(table(("what", "notebook", "here", "agreement", "how to get it"), rows))
    for title, lines in lists.items():
        if lines:
            parts.append(f"{title}:\n\n" + "\n".join(f"- {line}" for line in lines))
    return "\n\n".join(parts)


def counted(items: list[Item]) -> Counter[str]:
    """Count items by their subject, and by subject and way, such as `what` and `what recipe`."""
    subjects = [(next(key for key in SUBJECTS if key in item.keys), item.way) for item in items]
    return Counter(subject for subject, _ in subjects) + Counter(map(" ".join, subjects))


def summary(notebook: Notebook) -> str:
    """Return the counts of a notebook in one line."""
    count = counted(notebook.items)
    unshown = sum(count[f"{subject} needs"] for subject in SUBJECTS)
    figures = (
        f"Figures: {count['what']}, of which {count['what recipe']} with a recipe, "
        f"{count['what command']} with a command, {count['what left_out']} left out."
    )
    others = (
        f"Questions: {count['question']}. Plots: {count['plot']}. Errata: {len(notebook.errata)}."
    )
    return f"{figures} {others} {f'**Not yet shown: {unshown}.**' if unshown else 'None is open.'}"


def page(name: str, notebook: Notebook, ours: Ours) -> str:
    """Return the page of a notebook."""
    errata = [
        (
            escaped(erratum.place),
            escaped(erratum.wrong),
            escaped(erratum.right),
            escaped(erratum.shown),
        )
        for erratum in notebook.errata
    ]
    parts = [
        f"# [{name}] {escaped(notebook.title)}",
        f"{summary(notebook)} [What the columns mean](README.md).",
        *(cells(section, ours) for section in notebook.sections),
        "## Errata\n\n" + table(("where", "wrong", "right", "shown by"), errata),
    ]
    return "\n\n".join(parts) + "\n"


def index(notebooks: dict[str, Notebook]) -> str:
    """Return the page that lists the pages."""
    headers = (
        *("notebook", "figures", "with a recipe", "with a command", "left out", "not yet"),
        *("questions", "plots", "plots left out", "errata"),
    )
    counts: dict[str, tuple[int, ...]] = {}
    for name, notebook in notebooks.items():
        count = counted(notebook.items)
        counts[f"[[{name}]]({name}.md) {escaped(notebook.title)}"] = (
            *(count[f"what{way}"] for way in ("", " recipe", " command", " left_out")),
            sum(count[f"{subject} needs"] for subject in SUBJECTS),
            *(count[key] for key in ("question", "plot", "plot left_out")),
            len(notebook.errata),
        )
    counts["all"] = tuple(map(sum, zip(*counts.values(), strict=True)))
    rows = [(name, *map(str, numbers)) for name, numbers in counts.items()]
    return INDEX.format(table=table(headers, rows))


INDEX = """\
# The notebooks, cell by cell

This page answers: where is what a notebook prints, asks or draws?

{table}

A figure is one row of a page: a series of losses, or a list of pairs, counts once. The order of a
page is that of the notebook, under the notebook's headings. [NOTEBOOKS.md](../../NOTEBOOKS.md) has
the same experiments by topic, with the band in which each of ours must be.

- *notebook*: as printed. *claim* marks a number in the text that no cell prints.
- *here*: the value of a recipe as in NOTEBOOKS.md; with ±, mean and standard deviation over
  seeds. *The same*: a test finds all digits that the notebook prints. Where this column is
  empty, the command in the last column shows the value.
- *agreement*: how closely our value can be expected to match.
  - *exact*: counts, shapes, text, and numbers that only rounding can change.
  - *float32*: exact but for the order of the sums in float32, 4 to 5 digits.
  - *seeded*: the same generator and the same order of draws give the same digits.
  - *unseeded*: the notebook's own random draws: within 3 standard deviations over seeds.
- *not yet*: not shown here yet, and what is missing.

`python -m tools.notebooks` writes these pages from `notebooks.yaml`.
"""


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--check", action="store_true", help="only report what is outdated")
    arguments = parser.parse_args()
    notebooks, groups = load(), recipes.load()
    check(notebooks, groups)
    ours = values(groups)
    pages = {FOLDER / f"{name}.md": page(name, one, ours) for name, one in notebooks.items()}
    pages[FOLDER / "README.md"] = index(notebooks)
    recipes.rewrite(pages, "notebooks", arguments.check, "python -m tools.notebooks")


if __name__ == "__main__":
    run_tool(main)
