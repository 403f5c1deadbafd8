"""Write audit/pages/ from audit/notebooks.yaml: what the notebooks print, ask and draw.

    python -m audit.notebooks            writes them
    python -m audit.notebooks --check    writes nothing, and fails if one is outdated

One page per notebook, in its own order. The values of recipes are those that audit/NOTEBOOKS.md
shows, so no recipe runs.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache, partial
from itertools import chain, compress
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, model_validator

from audit.summary import NOTEBOOKS, written
from charlm.core.errors import InputError
from charlm.core.storage import read_bytes
from charlm.params import Section
from tools.documents import rewrite
from tools.program import argument_parser, run_tool
from tools.recipes import bands
from tools.recipes.bands import Band, numbers, parsed
from tools.recipes.catalog import RECIPES, Group, Recipe, load, read_sections
from tools.recipes.figures import Result

SOURCE, FOLDER, PIPELINE = Path("audit/notebooks.yaml"), Path("audit/pages"), Path("dvc.yaml")
LABS = Path("labs")
STEP = re.compile(r"^# ## (\d+)\. (.+)$", re.MULTILINE)
PICTURE = re.compile(r"audit/pictures/(\S+)\.svg")
SUBJECTS = ("what", "question", "plot")
WAYS = ("recipe", "loop", "command", "left_out", "answer")
TESTS = re.compile(r"`pytest [^`]+`(?: and )?")
PYTEST = re.compile(r"pytest ((?:audit/)?tests/\S+\.py)(?: -k (\w+))?")
MODULE = re.compile(r"python -m ((?:audit|benchmarks|stages|tools)\.\w+)")
RECIPE = re.compile(r"python -m tools\.recipes ([a-z][\w.-]*)")
FILE = re.compile(
    r"(?<![\w/.])(?:(?:audit|benchmarks|charlm|data|docs|labs|metrics|plots|stages|tests|tools)/[\w./-]*\w"
    r"|(?:dvc|params)\.yaml|(?:CONTRIBUTING|README)\.md)"
)
Figures = Annotated[
    list[str],
    BeforeValidator(lambda found: [found] if isinstance(found, str) else found),
    Field(min_length=1),
]
Loops = dict[str, bands.Entry]  # by name
Rows = dict[tuple[str, str], Result]  # by recipe and figure
HEADERS = (
    *("row", "what", "notebook", "here", "plain loop", "ours is", "the notebook", "kind"),
    "how to get it",
)
SHOW = """\
`python -m audit.show {name} {row}` prints that row in full, with the command that gives its value;
where that is a test, it runs. To work through the lectures instead: [the labs](../../labs/)."""
CLAIM = "claim: "  # how the text of a number begins that no cell prints
MAX_WITH_SD = 3  # figures in a cell with a standard deviation each
MAX_VALUES, MAX_WIDTH = 5, 60  # of a series in a cell; a longer one is folded


class Item(Section):
    """What a notebook prints, asks or draws, and what gives it here; see audit/notebooks.yaml."""

    what: str | None = None
    question: str | None = None
    plot: str | None = None
    printed: str | None = None
    recipe: str | None = None
    loop: str | None = None
    figure: Figures | None = None
    why: str | None = None
    no_verdict: str | None = None
    command: str | None = None
    here: str | None = None
    left_out: str | None = None
    answer: str | None = None
    agreement: Literal["exact", "float32", "seeded", "unseeded"] | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        keys = self.keys
        if len(keys & {*SUBJECTS}) != 1:
            raise ValueError(f"needs exactly one of {', '.join(SUBJECTS)}")
        if len(keys & {*WAYS}) != 1:
            raise ValueError(f"{self.text!r} needs exactly one of {', '.join(WAYS)}")
        for key, *others in (
            ("here", "command"),
            ("why", "figure"),
            ("no_verdict", "figure"),
            ("printed", "what"),
            ("what", "printed"),
            ("answer", "question"),
            ("loop", "figure"),
            ("figure", "recipe", "loop"),
            ("recipe", "figure", "plot", "question"),
        ):
            if key in keys and not keys & {*others}:
                raise ValueError(f"{self.text!r}: {key} without {' or '.join(others)}")
        if ("agreement" in keys) != ("what" in keys and "left_out" not in keys):
            raise ValueError(f"{self.text!r}: agreement belongs to figures that are not left out")
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
        """The one of WAYS that gives it."""
        return next(key for key in WAYS if key in self.keys)


class Cells(Section):
    """The cells below a heading of a notebook."""

    heading: str
    lab: str | None = None
    items: Annotated[list[Item], Field(min_length=1)]


class Erratum(Section):
    """What a notebook gets wrong."""

    place: str
    wrong: str
    right: str
    shown: str
    rank: int | None = None  # from 1, for one that changes a conclusion


class Notebook(Section):
    """A notebook, in its order."""

    title: str
    sections: list[Cells]
    errata: list[Erratum]

    @property
    def items(self) -> list[Item]:
        """All items of all sections."""
        return [item for section in self.sections for item in section.items]


def check(notebooks: dict[str, Notebook], groups: dict[str, Group], loops: Loops) -> None:
    """Check that the recipes, loops, figures, tests and files that are named exist.

    Raises:
        InputError: names the first one that does not.
    """
    recipes = {name: recipe for group in groups.values() for name, recipe in group.recipes.items()}
    for name, notebook in notebooks.items():
        found = [
            (f"{section.heading}: {item.text}", missing_from(item, recipes, loops))
            for section in notebook.sections
            for item in section.items
        ]
        found += [(one.heading, missing_steps(one.lab or "")) for one in notebook.sections]
        found += [(f"erratum in {e.place}", missing_in(e.shown, recipes)) for e in notebook.errata]
        for place, missing in found:
            for what in missing:
                raise InputError(f"{SOURCE}: [{name}] {place}: there is no {what}")


def missing_from(item: Item, recipes: dict[str, Recipe], loops: Loops) -> Iterator[str]:
    """Yield what an item refers to and that does not exist."""
    recipe, loop = recipes.get(item.recipe or ""), loops.get(item.loop or "")
    if (item.recipe and not recipe) or (item.loop and not loop):
        yield f"{item.way} {item.recipe or item.loop}"
        return
    have = [figure.what for figure in recipe.figures] if recipe else loop.figures if loop else []
    for figure in item.figure or []:
        if not matching([figure], have):
            yield f"figure {figure!r} of {item.way} {item.recipe or item.loop}"
    if item.plot and recipe and not recipe.picture:
        yield f"picture of recipe {item.recipe}"
    for text in (item.command, item.left_out, item.answer):
        yield from missing_in(text or "", recipes)


def matching(patterns: Iterable[str], figures: Collection[str]) -> list[str]:
    """Return the figures that patterns match, as names of files do; one pattern after the other.

    >>> matching(["dev NLL", "NLL at step [1-9]*"], ["NLL at step 0", "NLL at step 1", "dev NLL"])
    ['dev NLL', 'NLL at step 1']
    """
    return [figure for pattern in patterns for figure in figures if fnmatchcase(figure, pattern)]


def missing_in(text: str, recipes: Collection[str]) -> Iterator[str]:
    """Yield the files, programs, tests and recipes that a text names and that do not exist.

    >>> list(missing_in("`pytest tests/test_split.py -k nobody`; docs/design.md", []))
    ['test nobody in tests/test_split.py']

    Args:
        text: in Markdown.
        recipes: their names.
    """
    for path in FILE.findall(text):
        if not Path(path).exists() and path not in declared_outputs():
            yield f"file {path}"
    for path, name in PYTEST.findall(text):
        if name and Path(path).exists():
            tests = re.findall(r"^def (test_\w+)", Path(path).read_text("utf-8"), re.MULTILINE)
            if not any(name in test for test in tests):
                yield f"test {name} in {path}"
    for module in MODULE.findall(text):
        path = Path(module.replace(".", "/"))
        if not (path.with_suffix(".py").exists() or (path / "__main__.py").exists()):
            yield f"program {module}"
    yield from (f"recipe {name}" for name in RECIPE.findall(text) if name not in recipes)


def split_lab(lab: str) -> tuple[Path, list[str], dict[str, str]]:
    """Return the notebook of a lab, the steps that are named, and the titles of all by number.

    Args:
        lab: such as `1_bigrams 2, 3`.
    """
    name, _, steps = lab.partition(" ")
    script = LABS / f"{name}.py"
    titles = STEP.findall(script.read_text("utf-8")) if script.exists() else []
    return script.with_suffix(".ipynb"), steps.split(", ") if steps else [], dict(titles)


def missing_steps(lab: str) -> Iterator[str]:
    """Yield the steps that a lab does not have, or the lab."""
    path, steps, titles = split_lab(lab)
    if lab and not path.exists():
        yield f"lab {path}"
    yield from (f"step {step} of {path}" for step in steps if step not in titles)


def link_to_lab(lab: str) -> str:
    """Return a line with a link to a lab and its steps; nothing for no lab.

    >>> link_to_lab("1_bigrams 2, 7")
    '[Lab 1](../../labs/1_bigrams.ipynb): 2. Pairs of characters, 7. Smoothing'
    """
    if not lab:
        return ""
    path, steps, titles = split_lab(lab)
    named = ", ".join(f"{step}. {titles[step]}" for step in steps)
    return f"[Lab {path.name[0]}](../../{path.as_posix()}){': ' * bool(named)}{named}"


@cache
def declared_outputs() -> dict[str, bool]:
    """Return the files that the stages write, and whether they are in DVC's cache, not in git."""
    outputs = {}
    for stage in yaml.safe_load(read_bytes(PIPELINE))["stages"].values():
        for entry in chain(*(stage.get(kind, []) for kind in ("outs", "metrics", "plots"))):
            # A mapping of the path to its settings, or the path alone.
            [(path, settings)] = (entry if isinstance(entry, dict) else {entry: {}}).items()
            outputs[path] = settings.get("cache", True)
    return outputs


def values(groups: dict[str, Group]) -> Rows:
    """Return all recipes' figures as audit/NOTEBOOKS.md shows them.

    Raises:
        InputError: its tables do not have the rows of audit/recipes.yaml.
    """
    text = read_bytes(NOTEBOOKS).decode()
    found: Rows = {}
    for name, group in groups.items():
        try:
            rows = written(name, group, text)
        except (ValueError, IndexError):
            raise InputError(
                f"{NOTEBOOKS}: part {name} does not have the rows of {RECIPES}; "
                f"run `python -m audit.summary {name}`"
            ) from None
        found |= {(row.recipe, row.figure.what): row for row in rows}
    return found


def escaped(text: str) -> str:
    r"""Return Markdown that shows a text as it is, with links to the files of git that it names.

    >>> escaped("`a|b` of <START> in docs/design.md")
    '`a\\|b` of \\<START> in [docs/design.md](../../docs/design.md)'
    >>> escaped("plots/loss.svg is in DVC's cache, plots/mlp.csv in git")
    "plots/loss.svg is in DVC's cache, [plots/mlp.csv](../../plots/mlp.csv) in git"
    """
    parts = text.split("`")
    parts[1::2] = [part.replace("|", r"\|") for part in parts[1::2]]
    parts[::2] = [FILE.sub(link, re.sub(r"([\\*<|])", r"\\\1", part)) for part in parts[::2]]
    return "`".join(parts)


def link(found: re.Match[str]) -> str:
    """Return a link from a page to a file of git; the bare path if it is not in git."""
    path = found[0]
    if declared_outputs().get(path, False) or not Path(path).exists():
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


def split_series(text: str) -> list[str]:
    """Return the values of a series; a text that is none, or that fits into a cell, as a whole.

    >>> split_series("1, 2"), len(split_series(", ".join(["12.3456 ± 0.1"] * 6)))
    (['1, 2'], 6)
    """
    separator = next((one for one in ("; ", ", ", " ") if one in text), ", ")
    values = text.split(separator)
    return values if len(values) > MAX_VALUES and len(text) > MAX_WIDTH else [text]


def shortened(text: str, expected: Sequence[Band] = ()) -> str:
    """Return a long series as its first, last and largest deviation; another text as it is.

    >>> series = ", ".join(f"{n}.00000000000000" for n in range(1, 7))
    >>> shortened(series, [Band(mean=n, sd=n / 12, values=[]) for n in (1, 2, 3, 4, 5, 7)])
    '1.00000000000000, …, 6.00000000000000 (6 values; largest deviation 1.7 SD)'

    Args:
        text: as a cell would have it.
        expected: of each value; none if that is not known.
    """
    text, *spread = text.partition("; SD ")
    values = split_series(text)
    if len(values) == 1:
        return text + "".join(spread)
    found = [parsed(number) for value in values for number in numbers(value)[:1]]
    is_complete = expected and len(found) == len(expected)
    notes = [f"{len(found) if is_complete else len(values)} values"]
    if is_complete:
        has_sd = all(band.sd for band in expected)
        deviations = (
            abs(number - band.mean) / ((has_sd and band.sd) or 1)
            for number, band in zip(found, expected, strict=True)
        )
        decimals, unit = (1, " SD") if has_sd else (4, "")
        notes.append(f"largest deviation {max(deviations):.{decimals}f}{unit}")
    return f"{values[0]}, …, {values[-1]} ({'; '.join(notes)}){''.join(spread)}"


def row_of(number: str, item: Item, ours: Rows, loops: Loops) -> tuple[str, ...]:
    """Return the cells of an item below HEADERS, nothing shortened."""
    return (
        *(number, escaped(item.text), escaped(item.printed or "")),
        *(here(item, ours), plain_loop(item, ours, loops), verdict(item, ours)),
        *(agreement(item, ours, loops), item.agreement or "", how(item, loops)),
    )


def short_row(row: tuple[str, ...], item: Item, ours: Rows, loops: Loops) -> tuple[str, ...]:
    """Return cells of a page: a long series folded, a recipe by its name, a test not named."""
    number, text, printed, value, loop, *verdicts, command = row
    known = [band for band in bands_of(item, ours, loops).values() if band]
    notebook = [Band(mean=parsed(one), values=[]) for one in numbers(item.printed or "")]
    series = (shortened(printed, known), shortened(value, known or notebook), shortened(loop))
    name = f"recipe `{item.recipe}`" if item.recipe else TESTS.sub("", command).lstrip(",; ")
    return (number, text, *series, *verdicts, name)


def folded(rows: Iterable[tuple[str, ...]], short: Iterable[tuple[str, ...]]) -> str:
    """Return the long series of rows in full, folded; nothing if there are none."""
    lines = [
        f"- {row[0]}, {header}: {cell}"
        for row, cells in zip(rows, short, strict=True)
        for header, cell, shown in list(zip(HEADERS, row, cells, strict=True))[2:5]
        if cell != shown
    ]
    content = "\n".join(lines)
    return f"<details><summary>Series in full</summary>\n\n{content}\n\n</details>" if lines else ""


def how(item: Item, loops: Loops) -> str:
    """Return how to get an item."""
    if item.recipe:
        return f"`python -m tools.recipes {item.recipe}`"
    return f"`{loops[item.loop].command}`" if item.loop else escaped(item.command or "")


def rows_of(item: Item, rows: Rows) -> list[Result]:
    """Return the rows of audit/NOTEBOOKS.md that an item shows."""
    figures = [figure for recipe, figure in rows if recipe == item.recipe]
    return [rows[item.recipe or "", figure] for figure in matching(item.figure or [], figures)]


def bands_of(item: Item, rows: Rows, loops: Loops) -> dict[str, Band | None]:
    """Return where a correct run lies, by figure of an item."""
    if item.loop is not None:
        known = loops[item.loop].figures
        return {figure: known[figure] for figure in matching(item.figure or [], known)}
    return {row.figure.what: row.figure.band for row in rows_of(item, rows)}


def here(item: Item, rows: Rows) -> str:
    """Return the value here; nothing where only the command shows it."""
    if item.recipe and item.figure:
        return listed(item, {row.figure.what: row.ours for row in rows_of(item, rows)})
    is_tested = item.command and PYTEST.search(item.command)
    return escaped(item.here or ("the same" if is_tested else ""))


def plain_loop(item: Item, rows: Rows, loops: Loops) -> str:
    """Return the values of the plain loop; nothing where there is none."""
    found = {figure: band for figure, band in bands_of(item, rows, loops).items() if band}
    spreads = [band.sd for band in found.values() if band.sd]
    if len(found) <= MAX_WITH_SD or not spreads:
        return listed(item, {figure: band.shown for figure, band in found.items()})
    means = ", ".join(f"{band.mean:.2f}" for band in found.values())
    return f"{means}; SD {min(spreads):.2f} to {max(spreads):.2f}"


def listed(item: Item, values: dict[str, str]) -> str:
    """Join values; those for a claim, which may be about another number, with their names."""
    is_claim = item.text.startswith(CLAIM)
    return ", ".join(f"{name} {value}" if is_claim else value for name, value in values.items())


def verdict(item: Item, rows: Rows) -> str:
    """Say whether our values lie where a correct run does; nothing if that is not known."""
    found = [row.verdict for row in rows_of(item, rows) if row.verdict]
    inside = found.count("inside")
    if not found or inside == len(found):
        return "inside" if found else ""
    return f"OUTSIDE: {len(found) - inside} of {len(found)}"


def agreement(item: Item, rows: Rows, loops: Loops) -> str:
    """Say whether what the notebook prints lies where a correct run does.

    Nothing is said of a number that cannot be assigned to a figure, or of a claim that is not
    about a loss.
    """
    if item.no_verdict:
        return f"no verdict: {escaped(item.no_verdict)}"
    printed = numbers(item.printed or "")
    known = [*bands_of(item, rows, loops).values()]
    are_losses = all("." in number for number in printed)
    is_claim = item.text.startswith(CLAIM)
    if len(known) == 1 and are_losses and not is_claim:  # several draws, or printed twice
        known *= len(printed)
        printed = [number.removeprefix("-") for number in printed]
    if len(printed) != len(known) or (is_claim and not are_losses):
        return ""
    verdicts = [band.agreement(number) for number, band in zip(printed, known, strict=True) if band]
    if not verdicts or len(verdicts) < len(known):
        return ""
    found = max(verdicts)  # "agrees" < "agrees only ..." < "differs"
    if len(verdicts) > 1 and found == "differs":
        found = f"differs in {verdicts.count(found)} of {len(verdicts)}"
    return f"{found}: {escaped(item.why)}" if item.why else found


def figures_of(notebook: Notebook) -> dict[str, Item]:
    """Return the figures that a page has in its tables, by number: section, then row.

    >>> figure = Item(what="pairs", printed="32", command="README.md", agreement="exact")
    >>> section = Cells(heading="Counts", items=[figure])
    >>> list(figures_of(Notebook(title="", sections=[section, section], errata=[])))
    ['1.1', '2.1']
    """
    return {
        f"{number}.{row}": item
        for number, section in enumerate(notebook.sections, start=1)
        for row, item in enumerate(
            (item for item in section.items if item.what and not item.left_out), start=1
        )
    }


def cells(section: Cells, figures: dict[str, Item], ours: Rows, loops: Loops) -> str:
    """Return what a page has below one heading of the notebook.

    Args:
        section: the heading and what is below it.
        figures: those of the section, by number.
        ours: the values of the recipes.
        loops: the bands of the loops.
    """
    questions, plots, left_out = [], [], []
    for item in section.items:
        text = escaped(item.text)
        if item.left_out:
            value = f" ({escaped(item.printed)})" if item.printed else ""
            left_out.append(f"- {text}{value}: {escaped(item.left_out)}")
        elif item.question:
            questions.append(f"- **{text}** {escaped(item.answer or '') or how(item, loops)}")
        elif item.plot:
            plots.append(f"- {text}: {how(item, loops)}")
            plots += [
                f'\n  <img src="../pictures/{name}.svg" width="600" alt="{name}">'
                for name in PICTURE.findall(item.command or "")
            ]
    parts = [f"## {escaped(section.heading)}", *filter(None, [link_to_lab(section.lab or "")])]
    if figures:
        rows = [row_of(number, item, ours, loops) for number, item in figures.items()]
        short = [
            short_row(row, item, ours, loops)
            for row, item in zip(rows, figures.values(), strict=True)
        ]
        filled = [any(column) for column in zip(*short, strict=True)]
        parts.append(
            table([*compress(HEADERS, filled)], [[*compress(row, filled)] for row in short])
        )
        parts += filter(None, [folded(rows, short)])
    for title, lines in (("Questions", questions), ("Plots", plots), ("Left out", left_out)):
        if lines:
            parts.append(f"{title}:\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def counted(items: list[Item]) -> Counter[str]:
    """Count items by their subject, and by subject and way, such as `what` and `what recipe`."""
    subjects = [(next(key for key in SUBJECTS if key in item.keys), item.way) for item in items]
    return Counter(subject for subject, _ in subjects) + Counter(map(" ".join, subjects))


def summary(notebook: Notebook) -> str:
    """Return the counts of a notebook in one line."""
    count = counted(notebook.items)
    return (
        f"Figures: {count['what']}, of which {count['what recipe']} with a recipe, "
        f"{count['what loop']} with a plain loop, {count['what command']} with a command, "
        f"{count['what left_out']} left out. "
        f"Questions: {count['question']}. Plots: {count['plot']}. Errata: {len(notebook.errata)}."
    )


def page(name: str, notebook: Notebook, ours: Rows, loops: Loops) -> str:
    """Return the page of a notebook."""
    figures = figures_of(notebook)
    by_section = [
        {row: item for row, item in figures.items() if row.startswith(f"{number}.")}
        for number, _ in enumerate(notebook.sections, start=1)
    ]
    parts = [
        f"# [{name}] {escaped(notebook.title)}",
        f"{summary(notebook)} [What the columns mean](README.md).",
        SHOW.format(name=name, row=next(iter(figures), "1.1")),
        *map(partial(cells, ours=ours, loops=loops), notebook.sections, by_section),
        f"## Errata\n\n{errata(notebook.errata)}",
    ]
    return "\n\n".join(parts) + "\n"


def errata(found: list[Erratum]) -> str:
    """Return those that change a conclusion, by rank, and then the rest, folded."""
    ranked = sorted((one for one in found if one.rank), key=lambda one: one.rank or 0)
    shown, folded = (
        table(
            ("where", "wrong", "right", "shown by"),
            [[*map(escaped, (one.place, one.wrong, one.right, one.shown))] for one in errata],
        )
        for errata in (ranked, [one for one in found if not one.rank])
    )
    rest = len(found) - len(ranked)
    details = f"<details><summary>The rest ({rest})</summary>\n\n{folded}\n\n</details>"
    return "\n\n".join([shown] * bool(ranked) + [details] * bool(rest))


def worst_errata(notebooks: dict[str, Notebook]) -> str:
    """Return a table of the errata of all notebooks that change a conclusion, by rank."""
    ranked = [
        (one.rank, name, one)
        for name, found in notebooks.items()
        for one in found.errata
        if one.rank
    ]
    rows = [
        (str(rank), f"[[{name}]]({name}.md#errata) {one.place}", one.wrong, one.right)
        for rank, name, one in sorted(ranked, key=lambda found: found[0])
    ]
    return table(("", "where", "wrong", "right"), [[*map(escaped, row)] for row in rows])


def index(notebooks: dict[str, Notebook]) -> str:
    """Return the page that lists the pages."""
    headers = (
        *("notebook", "figures", "with a recipe", "with a plain loop", "with a command"),
        *("left out", "questions", "plots", "plots left out", "errata"),
    )
    counts: dict[str, tuple[int, ...]] = {}
    for name, notebook in notebooks.items():
        count = counted(notebook.items)
        counts[f"[[{name}]]({name}.md) {escaped(notebook.title)}"] = (
            *(count[f"what{way}"] for way in ("", " recipe", " loop", " command", " left_out")),
            *(count[key] for key in ("question", "plot", "plot left_out")),
            len(notebook.errata),
        )
    counts["all"] = tuple(map(sum, zip(*counts.values(), strict=True)))
    rows = [(name, *map(str, numbers)) for name, numbers in counts.items()]
    return INDEX.format(table=table(headers, rows), errata=worst_errata(notebooks))


INDEX = """\
# The notebooks, cell by cell

This page answers: where is what a notebook prints, asks or draws?

{table}

A figure is one row of a page: a series of losses, or a list of pairs, counts once. The order of a
page is that of the notebook, under the notebook's headings; below a heading, the figures come
first, then the questions, the plots and what is left out. [NOTEBOOKS.md](../NOTEBOOKS.md) has
the same experiments by topic.

- *row*: `python -m audit.show 002 4.2` prints row 4.2 of [002] in full, with the command that gives
  its value. Columns that would be empty are left out.
- *notebook*: as printed; the numbers of a series are rounded. Of a long series, the first and last
  value are shown, and its largest deviation from the plain loop, or of ours from the notebook where
  there is no loop; the rest is folded below the table. *claim* marks a number in the text
  that no cell prints.
- *here*: the value of a recipe as in audit/NOTEBOOKS.md; with ±, mean and standard deviation over
  seeds. *The same*: a test finds all digits that the notebook prints; `audit.show` runs it and
  prints them. Where this column is empty, the command in the last column shows the value.
- *plain loop*: what plain loops as the notebooks write them give, mean and standard deviation over
  five seeds or more; one number where nothing is left to chance. They are written apart from the
  pipeline, in [plain_loops.py](../plain_loops.py);
  [bands.json](../bands.json) has the value of each seed.
- *ours is*: does this project do what it should? *Inside*: the value of the recipe lies within
  three standard deviations of the mean of the plain loop, or within 0.0005 where nothing is left to
  chance.
- *the notebook*: does the notebook's one run agree with that, to the digits that it prints? If not,
  the reason. *No verdict* where the notebook does not say how many steps it took, or where its
  numbers would agree with other settings as well. Empty where there is no plain loop, where the
  printed numbers cannot be assigned to ours one by one, and for claims without a decimal point.
- *kind*: how closely our value can be expected to match.
  - *exact*: counts, shapes, text, and numbers that only rounding can change.
  - *float32*: exact but for the order of the sums in float32, 4 to 5 digits.
  - *seeded*: the same generator and the same order of draws give the same digits.
  - *unseeded*: the notebook's own random draws: within 3 standard deviations over seeds.
- *how to get it*: `python -m tools.recipes NAME` runs a recipe. Empty for a test.
- *left out*: not shown here, with the reason.

## The errata that change a conclusion

The worst first. All others are folded at the end of each page.

{errata}

`python -m audit.notebooks` writes these pages from `audit/notebooks.yaml`.
"""


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--check", action="store_true", help="only report what is outdated")
    arguments = parser.parse_args()
    notebooks, groups, loops = read_sections(SOURCE, Notebook), load(), bands.load()
    check(notebooks, groups, loops)
    ours = values(groups)
    pages = {FOLDER / f"{name}.md": page(name, one, ours, loops) for name, one in notebooks.items()}
    pages[FOLDER / "README.md"] = index(notebooks)
    rewrite(pages, arguments.check)


if __name__ == "__main__":
    run_tool(main)
