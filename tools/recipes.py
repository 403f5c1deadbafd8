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

import csv
import io
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any, NamedTuple, Self

import yaml
from dvc.exceptions import DvcException
from dvc.utils.hydra import apply_overrides
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from tabulate import tabulate

from charlm import params
from charlm.errors import InputError
from charlm.params import Section
from charlm.runtime import argument_parser, run_tool
from charlm.storage import PLOTS, read_bytes, write_bytes
from charlm.yaml_files import parse_yaml

RECIPES, NOTEBOOKS, PARAMS = Path("recipes.yaml"), Path("NOTEBOOKS.md"), Path("params.yaml")
CODE = ("charlm", "constraints.txt", "dvc.yaml", "stages")  # all but params.yaml behind a result
PICTURES = PLOTS / "recipes"
# for rough estimates, fitted to a few recipes on one core
EXPERIMENT_S = 12  # of DVC, of starting the stages, and of all but the MLP's training
STEP_S = 3e-4  # of one step of the MLP, besides its multiplications
WEIGHTS_PER_S = 7e9  # times rows of a batch, forward and backward
FULL_BATCH_ROWS = 5_500  # unique contexts of three characters in names.txt
SYMBOLS = 27  # of names.txt
UNFINISHED = "-unfinished"  # behind the name of an experiment that is running
Overrides = Annotated[list[str], AfterValidator(lambda lines: shlex.split(" ".join(lines)))]


class Figure(Section):
    """A number of a recipe: the place of ours, the notebook's, and the range allowed for ours."""

    what: str
    file: str
    key: str  # dots lead into a JSON file; the column of a csv file
    where: dict[str, str | int] | None = None  # the row of a csv file
    notebook: float | None = None
    band: Annotated[tuple[float, float], Field(strict=False)] | None = None


class Recipe(Section):
    """An experiment, the question it answers, and its overrides as `dvc exp run -S` takes them."""

    question: str
    overrides: Overrides
    # of the MLP: an experiment each, and their mean and SD
    seeds: Annotated[list[int], Field(min_length=1)] | None = None
    figures: list[Figure]
    note: str | None = None  # to read below the table
    picture: str | None = None  # to show there

    def experiments(self, name: str) -> dict[str, list[str]]:
        """Return the overrides of each of its experiments, by the experiment's name."""
        if self.seeds is None:
            return {name: self.overrides}
        return {f"{name}-seed-{seed}": [*self.overrides, f"mlp.seed={seed}"] for seed in self.seeds}

    def changed(self, changes: list[str]) -> Self:
        """Return the recipe with further overrides."""
        return self.model_copy(update={"overrides": [*self.overrides, *changes]})


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
    def of(cls, recipe: str, figure: Figure, values: list[int] | list[float]) -> Self:
        """Format the value, none of its decimals if it is a count, or mean ± SD over seeds."""
        if len(values) > 1:
            return cls(recipe, figure, f"{fmean(values):.4f} ± {stdev(values):.4f}")
        (value,) = values
        return cls(recipe, figure, f"{value:,}" if isinstance(value, int) else f"{value:.4f}")

    @property
    def notebook(self) -> str:
        """Format the notebook's number; nothing if there is none."""
        return "" if self.figure.notebook is None else f"{self.figure.notebook:g}"

    @property
    def verdict(self) -> str:
        """Say whether ours is within the band; nothing if there is none."""
        if self.figure.band is None:
            return ""
        low, high = self.figure.band
        ours = float(self.ours.split()[0].replace(",", ""))
        return "inside" if low <= ours <= high else "OUTSIDE"


def load(path: Path = RECIPES) -> dict[str, Group]:
    """Read and check recipes.yaml.

    Raises:
        InputError: there is no such file, it does not fit the classes above, or two of its
            experiments have one name.
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
    return loaded


def overridden(overrides: list[str], where: str = "") -> dict[str, Any]:
    """Return what params.yaml holds after `dvc exp run -S` with these overrides.

    Args:
        overrides: as `dvc exp run -S` takes them.
        where: what to name in an error; otherwise recipes.yaml and all overrides.

    Raises:
        InputError: an override does not fit params.yaml, or that file is wrong itself.
    """
    params.load(PARAMS)
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder, PARAMS)
        shutil.copyfile(PARAMS, changed)
        try:
            apply_overrides(changed, overrides)
            params.load(changed)
        except DvcException as error:
            why = str(error.__cause__).partition("\n")[0]
        except InputError as error:
            why = str(error).removeprefix(f"{changed}: ")
        else:
            settings: dict[str, Any] = parse_yaml(changed.read_bytes())
            return settings
    where = where or f"{RECIPES}: {' '.join(overrides)}"
    raise InputError(f"{where}: {why}")


def estimate_s(settings: dict[str, Any], overrides: list[str]) -> float:
    """Return about how many seconds an experiment takes if DVC's cache has none of its results.

    The recipes differ in the steps and the size of the MLP; nothing else takes them long.

    Args:
        settings: the content of params.yaml.
        overrides: of the experiment.
    """
    values = {
        f"{section}.{key}": value
        for section in ("contexts", "mlp")
        for key, value in settings[section].items()
    }
    for key, _, text in (override.partition("=") for override in overrides):
        if key in values:
            values[key] = yaml.safe_load(text)
    hidden = values["mlp.hidden"]
    inputs = values["contexts.block_size"] * values["mlp.embedding"]
    weights = hidden * (inputs + (values["mlp.layers"] - 1) * hidden + SYMBOLS)
    rows = values["mlp.batch_size"] or FULL_BATCH_ROWS
    step_s = STEP_S + rows * weights / WEIGHTS_PER_S
    return float(EXPERIMENT_S + values["mlp.steps"] * step_s)


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


def git(*arguments: str) -> bytes:
    """Return what git prints.

    Raises:
        InputError: git fails, as it does outside a repository.
    """
    finished = subprocess.run(("git", *arguments), check=False, capture_output=True)
    if finished.returncode:
        raise InputError(f"git {arguments[0]}: {finished.stderr.decode().strip()}")
    return finished.stdout


def file_of(commit: str, path: str | Path) -> bytes:
    """Return the content of a file of this folder in a commit.

    Raises:
        InputError: the commit does not have it.
    """
    return git("show", f"{commit}:./{path}")  # without ./ the path would start at git's root


def experiment_ref(name: str) -> str:
    """Return where git keeps the experiment of this name that started from HEAD."""
    head = git("rev-parse", "HEAD").decode().strip()
    return f"refs/exps/{head[:2]}/{head[2:]}/{name}"


def commit_of(ref: str) -> str:
    """Return the commit that a ref points to; empty if there is no such ref."""
    return git("for-each-ref", "--format=%(objectname)", ref).decode().strip()


def find(name: str, overrides: list[str]) -> str | None:
    """Return the commit of the experiment, if it has the current code and parameters.

    Only one that started from HEAD counts: one of another commit, applied, would bring back that
    commit's files. To run it again from here costs seconds, for DVC has its results in its cache.
    """
    commit = commit_of(experiment_ref(name))
    if (
        commit
        and not git("diff", "--name-only", commit, "--", *CODE)
        and parse_yaml(file_of(commit, PARAMS)) == overridden(overrides)
    ):
        return commit
    return None


def run(name: str, overrides: list[str]) -> str | None:
    """Run a recipe as a DVC experiment in a temporary folder; return its error if it fails.

    It runs under another name and is renamed at the end, so that an older one of the same name
    is there until then, whatever happens.
    """
    start = time.monotonic()
    ref, unfinished = experiment_ref(name), experiment_ref(f"{name}{UNFINISHED}")
    outdated = commit_of(ref)
    git("update-ref", "-d", unfinished)  # of a run that was killed
    settings = [f"--set-param={override}" for override in overrides]
    dvc = (sys.executable, "-m", "dvc", "exp", "run", "--temp")
    command = (*dvc, "--name", f"{name}{UNFINISHED}", *settings)
    # the stages' `python` is the one that runs this
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    finished = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    replaced = f", replaces {outdated[:7]}" if outdated else ""
    print(f"{name}: {time.monotonic() - start:.0f} s{replaced}", file=sys.stderr)
    if finished.returncode:
        return finished.stderr.strip() or f"dvc ended with status {finished.returncode}"
    git("update-ref", ref, commit_of(unfinished))
    git("update-ref", "-d", unfinished)
    return None


def check_cache_path() -> None:
    """Check that DVC can run experiments in temporary folders.

    Raises:
        InputError: the path of its cache is not ASCII, which DVC cannot write into their settings.
    """
    from dvc.repo import Repo  # slow, and not needed where all experiments exist

    try:
        with Repo() as repo:
            path = repo.cache.local_cache_dir
    except DvcException:
        return  # `dvc exp run` says what is wrong
    if not path.isascii():
        raise InputError(
            f"recipes: {path}: DVC cannot run experiments in temporary folders while the path of "
            "its cache has characters outside ASCII; rename the folder, or keep the cache in "
            "another one: `dvc cache dir --local FOLDER`"
        )


def run_all(experiments: dict[str, list[str]]) -> None:
    """Run those experiments that do not exist yet, one per core.

    Raises:
        InputError: some failed, or none can be run here.
    """
    missing = [name for name, overrides in experiments.items() if not find(name, overrides)]
    if missing and git("rev-parse", "--is-shallow-repository").strip() == b"true":
        raise InputError(
            "recipes: this is a shallow clone, in which DVC saves no experiments; run "
            "`git fetch --unshallow`"
        )
    if missing:
        check_cache_path()
    # the longest first, so that no core waits for another at the end
    missing.sort(key=lambda name: -overridden(experiments[name])["mlp"]["steps"])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ended = pool.map(lambda name: run(name, experiments[name]), missing)
        failed = {name: words for name, words in zip(missing, ended, strict=True) if words}
    if failed:
        raise InputError("\n".join(f"{name} failed: {words}" for name, words in failed.items()))


def value(figure: Figure, content: bytes) -> float:
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
        if figure.where is None:
            number: Any = json.loads(content)
            for key in figure.key.split("."):
                number = number[key]
            return number if isinstance(number, int) else float(number)
        rows = csv.DictReader(io.StringIO(content.decode()))
        wanted = {column: str(cell) for column, cell in figure.where.items()}
        return next(float(row[figure.key]) for row in rows if row.items() >= wanted.items())
    except (KeyError, TypeError, ValueError, StopIteration):
        where = "" if figure.where is None else f" where {figure.where}"
        raise InputError(f"{figure.file}: no number at {figure.key}{where}") from None


def found(name: str, overrides: list[str]) -> str:
    """Return the commit of an experiment that has been run.

    Raises:
        InputError: code or parameters have changed since.
    """
    commit = find(name, overrides)
    if commit is None:
        raise InputError(f"{name}: code or params.yaml changed while it ran; run it again")
    return commit


def results(recipes: dict[str, Recipe]) -> Iterator[Row]:
    """Yield the figures of recipes whose experiments exist."""
    for name, recipe in recipes.items():
        commits = commits_of(recipe, name)
        for figure in recipe.figures:
            yield Row.of(name, figure, values(figure, commits))


def commits_of(recipe: Recipe, name: str) -> list[str]:
    """Return the commits of a recipe's experiments, which have been run under this name."""
    return [found(*experiment) for experiment in recipe.experiments(name).items()]


def values(figure: Figure, commits: list[str]) -> list[float]:
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
            " to ".join(f"{end:g}" for end in row.figure.band or ()),
            row.verdict,
        )
        for number, row in enumerate(rows)
    ]
    headers = ("recipe", "figure", "notebook", "ours", "band", "verdict")
    align = ("left", "left", "right", "right", "left", "left")
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
