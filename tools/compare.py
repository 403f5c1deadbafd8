"""Is one model really better than another? Their losses on the same names, and what chance can do.

    python -m tools.compare A B                          two trained models
    python -m tools.compare --a A1 A2 A3 --b B1 B2 B3    two recipes, each run with several seeds
    python -m tools.compare A --model mlp --other bigram_count

A and B are commits, branches, tags, experiments, or `workspace`, the folder as it stands. Their
scores are read from DVC's cache; nothing is checked out. Only those names count that both sides
hold out and neither trained on.
"""

import argparse
import io
import json
import math
import sys
from functools import reduce
from itertools import combinations
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import yaml
from dvc.exceptions import DvcException
from scipy.special import stdtrit
from tabulate import tabulate

from charlm import stats
from charlm.errors import InputError
from charlm.models.registry import FITTED_ON_DEV, MODELS
from charlm.runtime import run_tool
from charlm.storage import read_bytes

EVALUATION, FETCH, PARAMS = "data/evaluation.csv", "metrics/fetch.json", "params.yaml"
WORKSPACE = "workspace"
HELD_OUT = ("dev", "test")
COLUMNS = ("split", "name", "characters", "in_train")  # of the scores; all others are models
SEEDS = {f"{name}.seed" for name in MODELS}
NON_MODEL_SECTIONS = ("find_learning_rate", "evaluate", "sample")  # no model depends on them
FEWEST = 30  # names; with fewer a standard error means little
NORMAL = NormalDist()
Settings = dict[str, dict[str, Any]]  # params.yaml
Verdict = Literal[
    "better", "worse", "real but negligible", "no difference", "the same", "cannot be compared"
]


class Run(NamedTuple):
    """What a revision scored, and on which data."""

    revision: str
    evaluation: pd.DataFrame  # as the stage evaluate writes it
    dataset: str
    settings: Settings


class Difference(NamedTuple):
    """How much more the second of two sides loses than the first, nats per character."""

    a: float
    b: float
    value: float
    variance: float
    freedom: float  # degrees of freedom of the variance

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of Student's t."""
        half = float(stdtrit(self.freedom, 0.975)) * math.sqrt(self.variance)
        return self.value - half, self.value + half


class Row(NamedTuple):
    """One line of an answer: the second side, B, against the first."""

    model: str
    split: str
    a: float | None  # nats per character; None if a name has probability 0
    b: float | None
    difference: float | None  # b - a
    low: float | None
    high: float | None
    names: int  # distinct ones
    verdict: Verdict
    detail: str = ""  # to read behind the verdict


def seed_variance(nll: np.ndarray, characters: np.ndarray) -> tuple[float, float]:
    """Return the variance of the mean loss of several runs, and the seeds' part of it alone.

    The rest is there because each seed has names of its own to be good at, and is in the names'
    variance already, as in the two-way clustering of Cameron, Gelbach & Miller (2011).

    Args:
        nll: (runs, names) float64, summed over each name's characters.
        characters: (names,).
    """
    runs, total = len(nll), characters.sum()
    averages = nll.sum(axis=1) / total
    own = nll - nll.mean(axis=0) - np.outer(averages - averages.mean(), characters)
    both = (own**2).sum() / (runs * (runs - 1) * total**2)
    whole = averages.var(ddof=1) / runs
    return whole, max(0.0, whole - both)


def difference(a: np.ndarray, b: np.ndarray, characters: np.ndarray) -> Difference:
    """Compare the losses of two sides on the same names.

    With one run a side the variance is that of the names; with several, the seeds' is added. The
    degrees of freedom are those of Welch and Satterthwaite, with each side's whole variance: how
    little of it was found to be the seeds' is as uncertain as that.

    Args:
        a, b: (runs, names) float64, summed over each name's characters.
        characters: (names,), of each distinct name.
    """
    gap = b.mean(axis=0) - a.mean(axis=0)
    variance = stats.standard_error(gap, characters) ** 2
    squares = variance**2 / (len(characters) - 1)
    for side in (a, b):
        if len(side) > 1:
            whole, seeds = seed_variance(side, characters)
            variance += seeds
            squares += whole**2 / (len(side) - 1)
    return Difference(
        a=stats.average(a.mean(axis=0), characters),
        b=stats.average(b.mean(axis=0), characters),
        value=stats.average(gap, characters),
        variance=variance,
        freedom=variance**2 / squares if squares else len(characters) - 1,
    )


def names_needed(value: float, variance: float, names: int) -> int:
    """Return how many names show a difference of this size with a power of 0.8.

    Args:
        value: the difference.
        variance: of it, on so many names.
        names: how many these are.
    """
    ratio = NORMAL.inv_cdf(0.975) + NORMAL.inv_cdf(0.8)
    return math.ceil(names * variance * (ratio / value) ** 2)


def judge(found: Difference, negligible: float) -> Verdict:
    """Say in a word what a difference and its interval mean."""
    low, high = found.interval
    if found.value == found.variance == 0:
        return "the same"
    if low <= 0 <= high:
        return "no difference"
    if max(map(abs, found.interval)) <= negligible:
        return "real but negligible"
    return "better" if high < 0 else "worse"


def explain(verdict: Verdict, found: Difference, names: int, runs: int, negligible: float) -> str:
    """Return what is to be read behind a verdict."""
    if verdict == "the same":
        return ", name for name"
    if verdict != "no difference":
        return ""
    if max(map(abs, found.interval)) <= negligible:
        return f", at any rate none above {negligible:g}"
    if runs > 1:
        return " that these runs and names can show"
    if not found.value:
        return " that these names can show"
    needed = float(f"{names_needed(found.value, found.variance, names):.2g}")
    return f" that these names can show; about {needed:,.0f} would, four times in five"


def compare(
    model: str, split: str, a: np.ndarray, b: np.ndarray, characters: np.ndarray, negligible: float
) -> Row:
    """Compare two sides on one split.

    Args:
        model: what to call them.
        split: where the names are from.
        a, b: (runs, names) float64, summed over each name's characters; NaN: probability 0.
        characters: (names,), of each distinct name.
        negligible: a difference as small as this does not matter, nats per character.
    """
    names = len(characters)
    ruled_out = [int(np.isnan(side).any(axis=0).sum()) for side in (a, b)]
    if any(ruled_out):
        mean_a, mean_b = (
            None if count else stats.average(side.mean(axis=0), characters)
            for count, side in zip(ruled_out, (a, b), strict=True)
        )
        verdict: Verdict = "better"
        if ruled_out[1]:
            verdict = "cannot be compared" if ruled_out[0] else "worse"
        detail = f": probability 0 for {ruled_out[0]} names under A, {ruled_out[1]} under B"
        return Row(model, split, mean_a, mean_b, None, None, None, names, verdict, detail)
    found = difference(a, b, characters)
    verdict = judge(found, negligible)
    detail = explain(verdict, found, names, len(a), negligible)
    return Row(model, split, found.a, found.b, found.value, *found.interval, names, verdict, detail)


def held_out(evaluation: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the names of a split that do not stand in train, once each, and how often they stand.

    Args:
        evaluation: as the stage evaluate writes it.
        split: dev or test.

    Returns:
        By name: `times`, `characters` and the summed NLL under each model.
    """
    rows = evaluation[(evaluation["split"] == split) & ~evaluation["in_train"]]
    return rows.drop_duplicates("name").set_index("name").assign(times=rows["name"].value_counts())


def pair(runs: list[Run], split: str) -> list[pd.DataFrame]:
    """Return what each run scored of the names that all hold out, in one order.

    Raises:
        InputError: there are too few of these.
    """
    tables = [held_out(run.evaluation, split) for run in runs]
    shared = reduce(pd.Index.intersection, [table.index for table in tables])
    if len(shared) < FEWEST:
        sizes = ", ".join(f"{run.revision} {len(t):,}" for run, t in zip(runs, tables, strict=True))
        raise InputError(
            f"compare: {split}: {len(shared)} names are held out by all and trained on by none "
            f"(held out: {sizes}); at least {FEWEST} are needed, so compare runs with one "
            "fetch.url and one split"
        )
    times = reduce(np.minimum, [table.loc[shared, "times"] for table in tables])
    return [table.loc[shared].assign(times=times) for table in tables]


def answer(
    a: list[Run], b: list[Run], models: dict[str, tuple[str, str]], negligible: float
) -> list[Row]:
    """Compare two sides, each one run or several, on every split that all of them hold out.

    Args:
        a, b: the runs of each side.
        models: what to call it, and which model of A and which of B it is about.
        negligible: a difference as small as this does not matter, nats per character.

    Raises:
        InputError: they hold out no split or too few names in common, a model is not there, or one
            run stands twice on a side.
    """
    for side in (a, b):
        for one, other in combinations(side, 2):
            if one.evaluation.equals(other.evaluation):
                raise InputError(
                    f"compare: {one.revision} and {other.revision} have the same scores; several "
                    "runs of a recipe need a seed each, such as -S mlp.seed=1"
                )
    for column, runs in enumerate((a, b)):
        for run in runs:
            wanted = {both[column] for both in models.values()}
            if missing := sorted(wanted - set(known_models(run))):
                has = ", ".join(known_models(run))
                raise InputError(f"compare: {run.revision}: no model {missing[0]}; it has {has}")
    splits = [
        split
        for split in HELD_OUT
        if all((run.evaluation["split"] == split).any() for run in a + b)
    ]
    if not splits:
        raise InputError(
            "compare: no held-out split was scored on both sides; add dev to evaluate.splits"
        )
    rows = []
    for split in splits:
        tables = pair(a + b, split)
        times = tables[0]["times"]
        characters = (tables[0]["characters"] * times).to_numpy()
        for label, (model_a, model_b) in models.items():
            nll_a = np.stack([(table[model_a] * times).to_numpy() for table in tables[: len(a)]])
            nll_b = np.stack([(table[model_b] * times).to_numpy() for table in tables[len(a) :]])
            rows.append(compare(label, split, nll_a, nll_b, characters, negligible))
    return rows


def known_models(run: Run) -> list[str]:
    """Return the models that a run scored."""
    return [str(column) for column in run.evaluation if column not in COLUMNS]


def differing(settings: list[Settings]) -> list[str]:
    """Return the parameters of data and models, seeds aside, in which settings are not all alike.

    >>> differing([{"mlp": {"hidden": 200, "seed": 1}}, {"mlp": {"hidden": 300, "seed": 2}}])
    ['mlp.hidden']
    """
    flat = [
        {
            f"{section}.{key}": value
            for section, keys in one.items()
            if section not in NON_MODEL_SECTIONS
            for key, value in (keys or {}).items()
        }
        for one in settings
    ]
    keys = sorted(set().union(*flat))
    return [
        key
        for key in keys
        if key not in SEEDS and any(one.get(key) != flat[0].get(key) for one in flat)
    ]


def remarks(a: list[Run], b: list[Run], models: set[str]) -> list[str]:
    """Return what a reader should know about two sides before believing what is said of models."""
    lines = []
    datasets = list(dict.fromkeys(run.dataset for run in a + b))
    if len(datasets) > 1:
        lines.append(f"The data sets differ: {', '.join(datasets)}.")
    for split in HELD_OUT:
        kept = [held_out(run.evaluation, split)["times"].sort_index() for run in a + b]
        if all(map(len, kept)) and not all(kept[0].equals(other) for other in kept):
            sizes = " and ".join(f"{size:,}" for size in sorted({len(times) for times in kept}))
            lines.append(
                f"The splits differ: of {sizes} names in {split}, those count that all hold out."
            )
    if fitted := [model for model in FITTED_ON_DEV if model in models]:
        lines.append(f"Fitted on dev, so too low a loss there: {', '.join(fitted)}.")
    for name, side in {"A": a, "B": b}.items():
        same = [
            model
            for model in known_models(side[0])
            if model in models
            and len(side) > 1
            and all(side[0].evaluation[model].equals(run.evaluation[model]) for run in side)
        ]
        if same:
            lines.append(
                f"All runs of {name} agree on {', '.join(same)}: no seed of it was varied."
            )
        if keys := differing([run.settings for run in side]):
            lines.append(f"The runs of {name} differ in {', '.join(keys)}: not one recipe.")
    return lines


def read(revision: str) -> Run:
    """Read what a revision scored; `workspace` is what is in the folder now.

    Raises:
        InputError: DVC does not know it, or its scores are not in the cache.
    """
    if revision == WORKSPACE:
        evaluation, fetch, settings = (
            read_bytes(Path(name)) for name in (EVALUATION, FETCH, PARAMS)
        )
    else:
        evaluation, fetch, settings = read_revision(revision, EVALUATION, FETCH, PARAMS)
    try:
        described, chosen = json.loads(fetch), yaml.safe_load(settings)
    except (ValueError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"compare: {revision}: {FETCH} or {PARAMS}: {why}") from None
    return Run(
        revision=revision,
        # names are text, though one may read like a number or like nan
        evaluation=pd.read_csv(
            io.BytesIO(evaluation), dtype={"name": str}, keep_default_na=False, na_values=[""]
        ),
        dataset=f"{described['dataset']} ({described['sha256']})",
        settings=chosen,
    )


def read_revision(revision: str, *names: str) -> list[bytes]:
    """Read files of a revision from git and DVC's cache.

    Raises:
        InputError: DVC does not know the revision, or does not have a file of it.
    """
    from dvc.api import DVCFileSystem  # slow, and not needed for the workspace

    tree = DVCFileSystem(rev=revision)
    try:
        return [tree.read_bytes(name) for name in names]
    except FileNotFoundError as error:
        commit = tree.repo.get_rev()[:10]
        raise InputError(
            f"compare: {revision}: {error.filename} is not in DVC's cache; "
            f"to make it: git switch --detach {commit} && dvc repro && git switch -"
        ) from None
    except DvcException as error:
        raise InputError(
            f"compare: {revision}: {error}; `git log --oneline` and `dvc exp list -A` list what "
            f"there is, and {WORKSPACE} is the folder as it stands"
        ) from None


def as_text(rows: list[Row], style: str) -> str:
    """Lay out the rows as tabulate's style has it."""

    def number(value: float | None, form: str) -> str:
        return "none" if value is None else format(value, form)

    cells = [
        (
            row.model,
            row.split,
            number(row.a, ".4f"),
            number(row.b, ".4f"),
            number(row.difference, "+.5f"),
            f"{number(row.low, '+.5f')} to {number(row.high, '+.5f')}",
            f"{row.names:,}",
            ("B is " if row.verdict in ("better", "worse") else "") + row.verdict + row.detail,
        )
        for row in rows
    ]
    headers = ("model", "split", "A", "B", "B - A", "95 % interval", "names", "verdict")
    align = ("left", "left", "right", "right", "right", "right", "right", "left")
    return tabulate(cells, headers, tablefmt=style, disable_numparse=True, colalign=align)


def as_json(rows: list[Row]) -> str:
    """Return the rows as a list for programs."""
    fields = [field for field in Row._fields if field != "detail"]
    return json.dumps([{field: getattr(row, field) for field in fields} for row in rows], indent=2)


def sides(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[list[str]]:
    """Return the revisions of A and of B, or end with what is wrong about the arguments."""
    given, a, b = arguments.revisions, arguments.a, arguments.b
    if arguments.other and not arguments.model:
        parser.error("--other needs --model")
    if a or b:
        if given or not (a and b):
            parser.error("give A and B, or both --a and --b")
        if len(a) != len(b) and 1 in (len(a), len(b)):
            parser.error("one run tells nothing of its seed: give one a side, or several a side")
        return [a, b]
    if len(given) == 1 and arguments.other:
        return [given, given]
    if len(given) != 2:
        parser.error("give A and B, or one revision with --model and --other, or --a and --b")
    return [[revision] for revision in given]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "revisions",
        nargs="*",
        metavar="REVISION",
        help=f"A and B: a commit, branch, tag or experiment, or {WORKSPACE}",
    )
    parser.add_argument("--a", nargs="+", metavar="A", help="several runs of one recipe")
    parser.add_argument("--b", nargs="+", metavar="B", help="several runs of another")
    parser.add_argument("--model", help="only this model")
    parser.add_argument("--other", metavar="MODEL", help="with --model: the model to take of B")
    parser.add_argument(
        "--negligible", type=float, default=0.003, metavar="NATS", help="too small to matter: 0.003"
    )
    parser.add_argument("--md", action="store_true", help="print a table for a pull request")
    parser.add_argument("--json", action="store_true", help="print a list of rows for programs")
    parser.add_argument(
        "--fail-if-worse", action="store_true", help="status 1 if B is worse or cannot be compared"
    )
    arguments = parser.parse_args()
    named = sides(parser, arguments)
    runs = {revision: read(revision) for revision in dict.fromkeys(named[0] + named[1])}
    a, b = ([runs[revision] for revision in side] for side in named)
    if arguments.model:
        other = arguments.other or arguments.model
        label = arguments.model if other == arguments.model else f"{arguments.model} → {other}"
        models = {label: (arguments.model, other)}
    else:
        shared = set.intersection(*(set(known_models(run)) for run in a + b))
        models = {model: (model, model) for model in known_models(a[0]) if model in shared}
    rows = answer(a, b, models, arguments.negligible)

    if arguments.json:
        print(as_json(rows))
    else:
        what = "recipes" if len(a) > 1 else "trained models"
        print(f"A: {', '.join(named[0])}\nB: {', '.join(named[1])}\n")
        print(as_text(rows, "pipe" if arguments.md else "simple"))
        print(
            f"\nNats per character; the statement is about these two {what}, on names that both "
            "sides hold out and neither trained on."
        )
    for remark in remarks(a, b, {model for both in models.values() for model in both}):
        print(remark, file=sys.stderr if arguments.json else sys.stdout)
    failing = ("worse", "cannot be compared")
    if arguments.fail_if_worse and any(row.verdict in failing for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    run_tool(main)
