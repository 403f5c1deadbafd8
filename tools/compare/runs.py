"""Runs to compare: what revisions scored, and a verdict on the difference of two sides."""

import argparse
import io
import math
import sys
from functools import reduce
from itertools import combinations, product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from dvc.exceptions import DvcException

from charlm import stats
from charlm.core.errors import InputError
from charlm.core.storage import SPLITS, damaged
from charlm.models.registry import FITTED_ON_DEV, MODELS
from charlm.tables import parse_facts
from tools.compare.comparison import POWER, Difference, difference
from tools.dvc_state import PARAMS, WORKSPACE, Files, lookup, parse_sections

EVALUATION, FETCH = "data/evaluation.csv", "metrics/fetch.csv"
HELD_OUT = ("dev", "test")
COLUMNS = ("split", "name", "characters", "in_train")  # of the scores; all others are models
SEEDS = {f"{name}.seed" for name in MODELS}
NON_MODEL_SECTIONS = ("find_learning_rate", "evaluate", "sample")  # no model depends on them
NEGLIGIBLE = 0.003  # nats per character; a smaller difference does not matter
MIN_NAMES = 30  # with fewer, a standard error means little
Settings = dict[str, dict[str, Any]]  # params.yaml
Verdict = Literal[
    "better",
    "worse",
    "significant but negligible",
    "not significant",
    "the same",
    "cannot be compared",
]


class Run(NamedTuple):
    """What a revision scored, and on which data."""

    revision: str
    evaluation: pd.DataFrame  # as the stage evaluate writes it
    dataset: str
    settings: Settings
    commit: str = ""  # of the revision; empty for the workspace


class Comparison(NamedTuple):
    """One line of a comparison: the second side, B, against the first."""

    model: str
    split: str
    fitted: bool  # on this split, so the loss of A or B is too low there
    a: float | None  # nats per character; None if a name has probability 0
    b: float | None
    difference: float | None  # b - a
    low: float | None
    high: float | None
    names: int  # unique ones
    verdict: Verdict
    detail: str = ""  # printed after the verdict


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a program that compares losses."""
    add = parser.add_argument
    what = f"differences up to this do not matter, 0 or more: {NEGLIGIBLE}"
    add("--negligible", type=nonnegative, default=NEGLIGIBLE, metavar="NATS", help=what)
    add("--md", action="store_true", help="print a table for a pull request")
    add("--json", action="store_true", help="print everything for programs")


def nonnegative(text: str) -> float:
    """Return a finite number of at least 0.

    Raises:
        ValueError: the text is something else.
    """
    number = float(text)
    if not 0 <= number < math.inf:
        raise ValueError(text)
    return number


def judge(found: Difference, negligible: float) -> Verdict:
    """Return the verdict on a difference and its interval."""
    low, high = found.interval
    if found.value == found.variance == 0:
        return "the same"
    if low <= 0 <= high:
        return "not significant"
    if max(map(abs, found.interval)) <= negligible:
        return "significant but negligible"
    return "better" if high < 0 else "worse"


def explain(verdict: Verdict, found: Difference, negligible: float) -> str:
    """Return what is printed after a verdict."""
    if verdict == "the same":
        return ", name for name"
    if verdict != "not significant":
        return ""
    if max(map(abs, found.interval)) <= negligible:
        return f"; any difference is below {negligible:g}"
    return f"; differences above {found.detectable:.2g} would show with {100 * POWER:g} % power"


def compare(
    model: str,
    split: str,
    a: np.ndarray,
    b: np.ndarray,
    characters: np.ndarray,
    negligible: float,
    fitted: bool = False,
) -> Comparison:
    """Compare two sides on one split.

    Args:
        model: what to call them.
        split: where the names are from.
        a, b: (runs, names) float64, summed over each name's characters; NaN: probability 0.
        characters: (names,), of each unique name.
        negligible: a difference as small as this does not matter, nats per character.
        fitted: whether a model was fitted on this split.
    """
    names = len(characters)
    zeros = [int(np.isnan(side).any(axis=0).sum()) for side in (a, b)]
    if any(zeros):
        mean_a, mean_b = (
            None if count else stats.average(side.mean(axis=0), characters)
            for count, side in zip(zeros, (a, b), strict=True)
        )
        verdict: Verdict = "cannot be compared" if all(zeros) else "worse" if zeros[1] else "better"
        detail = f": probability 0 for {zeros[0]} names under A, {zeros[1]} under B"
        return Comparison(
            model, split, fitted, mean_a, mean_b, None, None, None, names, verdict, detail
        )
    found = difference(a, b, characters)
    verdict = judge(found, negligible)
    values = (found.a, found.b, found.value, *found.interval)
    detail = explain(verdict, found, negligible)
    return Comparison(model, split, fitted, *values, names, verdict, detail)


def held_out(evaluation: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the names of a split that do not occur in train, once each, and how often they occur.

    Args:
        evaluation: as the stage evaluate writes it.
        split: dev or test.

    Returns:
        By name: `count`, `characters` and the summed NLL under each model.
    """
    rows = evaluation[(evaluation["split"] == split) & ~evaluation["in_train"]]
    return rows.drop_duplicates("name").set_index("name").assign(count=rows["name"].value_counts())


def align_names(runs: list[Run], split: str) -> list[pd.DataFrame]:
    """Return what each run scored of the names that all hold out, in one order.

    Raises:
        InputError: there are too few of these.
    """
    tables = [held_out(run.evaluation, split) for run in runs]
    for run, table in zip(runs, tables, strict=True):
        if len(table) < MIN_NAMES:
            raise InputError(f"{run.revision}: {short_list(run, split, len(table))}")
    shared = reduce(pd.Index.intersection, [table.index for table in tables])
    if len(shared) < MIN_NAMES:
        sizes = ", ".join(f"{run.revision} {len(t):,}" for run, t in zip(runs, tables, strict=True))
        raise InputError(
            f"{split}: {len(shared)} names are held out by all runs and not in the train "
            f"split of any (held out: {sizes}); at least {MIN_NAMES} are needed: compare runs "
            "with the same fetch.url and split"
        )
    count = reduce(np.minimum, [table.loc[shared, "count"] for table in tables])
    return [table.loc[shared].assign(count=count) for table in tables]


def short_list(run: Run, split: str, names: int) -> str:
    """Say that a run holds out too few names, and about how many its list needs.

    Args:
        names: unique names of the split that are not in train.
    """
    line = (
        f"the list is too short: {names} names of it are in {split} and not in train, and at least "
        f"{MIN_NAMES} are needed; "
    )
    share = lookup(run.settings, f"split.{split}")
    if not isinstance(share, float):
        return f"{line}use a longer list, or a smaller split.train"
    lines = (run.evaluation["split"] == split).sum() / share
    needed = math.ceil(lines * MIN_NAMES / max(names, 1))
    return f"{line}use a list of about {needed:,} names, or a larger split.{split}, now {share:g}"


def check_models(a: list[Run], b: list[Run], models: dict[str, tuple[str, str]]) -> None:
    """Refuse models that a run did not score, or whose seed one side did not vary.

    Raises:
        InputError: see above.
    """
    if not models:
        raise InputError("no model was scored by all runs; choose with --model and --other")
    for column, (side, other) in enumerate(((a, b), (b, a))):
        for model in sorted({both[column] for both in models.values()}):
            for run in side:
                if model not in known_models(run):
                    has = ", ".join(known_models(run))
                    raise InputError(f"{run.revision}: no model {model}; it has {has}")
            if len(side) == 1 < len(other) and depends_on_seed(model, side[0].settings):
                raise InputError(
                    f"{side[0].revision}: one run of {model} against {len(other)} runs: "
                    "it does not show how much the seed matters; give one run per side, or "
                    "several of each model that has a seed"
                )


def depends_on_seed(model: str, settings: Settings) -> bool:
    """Tell whether a model may depend on a seed besides that of the split.

    A mixture depends on those of its components. A model that has no section, as a mixture of older
    revisions, may depend on one.

    >>> depends_on_seed("bigram_count", {"bigram_count": {"smoothing": 1}})
    False
    """
    section = settings.get(model, {"seed": None})
    components = section.get("components", [])
    return "seed" in section or any(depends_on_seed(one, settings) for one in components)


def check_runs(a: list[Run], b: list[Run], models: dict[str, tuple[str, str]]) -> None:
    """Refuse a run that occurs twice: on one side, or with one model on both.

    Raises:
        InputError: see above.
    """
    for side in (a, b):
        for one, other in combinations(side, 2):
            if one.evaluation.equals(other.evaluation):
                raise InputError(
                    f"{one.revision} and {other.revision} have the same scores; several "
                    "runs of a recipe need a seed each, such as -S mlp.seed=1"
                )
    if all(model_a != model_b for model_a, model_b in models.values()):
        return
    for one, other in product(a, b):
        both = f"{one.revision} and {other.revision}"
        if one.revision == other.revision or (one.commit and one.commit == other.commit):
            raise InputError(f"{both} are one run, on both sides; give two")
        if len(a) + len(b) > 2 and one.evaluation.equals(other.evaluation):
            raise InputError(f"{both} have the same scores, on both sides; give each run once")


def compare_runs(
    a: list[Run], b: list[Run], models: dict[str, tuple[str, str]], negligible: float
) -> list[Comparison]:
    """Compare two sides, each one run or several, on every split that all of them hold out.

    Args:
        a, b: the runs of each side.
        models: what to call it, and which model of A and which of B it is about.
        negligible: a difference as small as this does not matter, nats per character.

    Raises:
        InputError: they hold out no split or too few names in common, a model is not there, or one
            run occurs twice.
    """
    check_runs(a, b, models)
    check_models(a, b, models)
    splits = [
        split
        for split in HELD_OUT
        if all((run.evaluation["split"] == split).any() for run in a + b)
    ]
    if not splits:
        raise InputError(
            "no held-out split was scored on both sides; add dev to evaluate.splits, or "
            "use a longer list if dev is empty"
        )
    rows = []
    for split in splits:
        tables = align_names(a + b, split)
        count = tables[0]["count"]
        characters = (tables[0]["characters"] * count).to_numpy()
        for label, (model_a, model_b) in models.items():
            nll_a = np.stack([(table[model_a] * count).to_numpy() for table in tables[: len(a)]])
            nll_b = np.stack([(table[model_b] * count).to_numpy() for table in tables[len(a) :]])
            fitted = split == "dev" and not {model_a, model_b}.isdisjoint(FITTED_ON_DEV)
            rows.append(compare(label, split, nll_a, nll_b, characters, negligible, fitted))
    return rows


def known_models(run: Run) -> list[str]:
    """Return the models that a run scored."""
    return [str(column) for column in run.evaluation if column not in COLUMNS]


def differing(settings: list[Settings]) -> list[str]:
    """Return the parameters of data and models, seeds aside, in which settings are not all alike.

    >>> differing([{"mlp": {"hidden": 200, "seed": 1}}, {"mlp": {"hidden": 300, "seed": 2}}])
    ['mlp.hidden']
    """
    flat = [flattened(one) for one in settings]
    return [
        key
        for key in sorted(set().union(*flat))
        if key not in SEEDS and key.partition(".")[0] not in NON_MODEL_SECTIONS
        if any(one.get(key) != flat[0].get(key) for one in flat)
    ]


def flattened(settings: Settings) -> dict[str, Any]:
    """Return settings by `section.key`."""
    return {
        f"{section}.{key}": value
        for section, keys in settings.items()
        for key, value in keys.items()
    }


def caveats(a: list[Run], b: list[Run], models: set[str]) -> list[str]:
    """Return what a reader should know about two sides before relying on their comparison."""
    lines = []
    datasets = list(dict.fromkeys(run.dataset for run in a + b))
    if len(datasets) > 1:
        lines.append(f"The data sets differ: {', '.join(datasets)}.")
    for split in HELD_OUT:
        counts = [held_out(run.evaluation, split)["count"].sort_index() for run in a + b]
        if all(map(len, counts)) and not all(counts[0].equals(other) for other in counts):
            sizes = " and ".join(f"{size:,}" for size in sorted({len(count) for count in counts}))
            lines.append(
                f"The splits differ: of {sizes} names in {split}, only those count that all runs "
                "hold out."
            )
    scored_dev = all((run.evaluation["split"] == "dev").any() for run in a + b)
    if scored_dev and (fitted := [model for model in FITTED_ON_DEV if model in models]):
        lines.append(f"Fitted on dev, which makes the loss there too low: {', '.join(fitted)}.")
    for name, side in {"A": a, "B": b}.items():
        same = [
            model
            for model in known_models(side[0])
            if model in models
            and len(side) > 1
            and depends_on_seed(model, side[0].settings)
            and all(side[0].evaluation[model].equals(run.evaluation[model]) for run in side)
        ]
        if same:
            lines.append(f"All runs of {name} agree on {', '.join(same)}: its seed was not varied.")
        if keys := differing([run.settings for run in side]):
            lines.append(
                f"The runs of {name} differ in {', '.join(keys)}, so they are not one recipe."
            )
    return lines


def parse_evaluation(content: bytes) -> pd.DataFrame:
    """Return the scores that the stage evaluate wrote.

    Raises:
        InputError: they are damaged.
    """
    try:
        # names are text, though one may read like a number or like nan
        table = pd.read_csv(
            io.BytesIO(content),
            dtype={"name": str},
            keep_default_na=False,
            na_values=[""],
            low_memory=False,  # it would guess the types of a column piece by piece
        )
    except (ValueError, OverflowError) as error:  # pandas' own errors are ValueErrors
        why = " ".join(str(error).split())
        raise damaged(Path(EVALUATION), f"not a table ({why})", "evaluate") from None
    if problem := damage(table):
        raise damaged(Path(EVALUATION), problem, "evaluate")
    return table


def damage(table: pd.DataFrame) -> str | None:
    """Say what is wrong with a table of scores, None if nothing is."""
    if missing := [column for column in COLUMNS if column not in table]:
        return f"no column {', '.join(missing)}"
    models = [column for column in table if column not in COLUMNS]
    if not models or table.empty:
        return "no rows" if models else "no column of a model"
    if table["name"].isna().any():
        return "column name: an empty cell"
    if not table["split"].isin(SPLITS).all():
        return f"column split: must be {', '.join(SPLITS)}"
    if not pd.api.types.is_bool_dtype(table["in_train"]):
        return "column in_train: must be True or False"
    if not pd.api.types.is_integer_dtype(table["characters"]) or table["characters"].min() < 1:
        return "column characters: must be whole numbers above 0"
    for model in models:
        nll = table[model]
        # an empty cell is a name of probability 0
        is_number = nll.dtype in (float, int)
        if not is_number or not (nll.isna() | nll.between(0, sys.float_info.max)).all():
            return f"column {model}: must be numbers of at least 0"
    return None


def parse_dataset(content: bytes) -> str:
    """Return the name and hash of a data set, as the stage fetch wrote them.

    Raises:
        InputError: they are damaged.
    """
    try:
        facts = parse_facts(content)
        return f"{facts['dataset']} ({facts['sha256']})"
    except (ValueError, KeyError):
        raise damaged(Path(FETCH), "must have dataset and sha256", "fetch") from None


def read_run(revision: str, opened: Files | None = None) -> Run:
    """Read what a revision scored; `workspace` is what is in the folder now.

    Args:
        revision: a commit, branch, tag or experiment, or `workspace`.
        opened: its files, if they were opened already.

    Raises:
        InputError: DVC does not know the revision, or its scores are not in the cache, damaged, or
            stale.
    """
    try:
        files = opened or Files(revision)
        run = Run(
            revision=revision,
            evaluation=parse_evaluation(files.read(EVALUATION)),
            dataset=parse_dataset(files.read(FETCH)),
            settings=parse_sections(files.read(PARAMS), PARAMS),
            commit=files.commit,
        )
        files.check((EVALUATION, FETCH))
    except FileNotFoundError as error:
        path = str(error.filename).lstrip("/")
        if revision == WORKSPACE:
            what = f"{path}: not found; run `dvc repro` to create it"
        else:
            what = (
                f"{path} is neither in git nor in DVC's cache; to make it: git switch --detach "
                f"{files.commit[:10]} && dvc repro && git switch -"
            )
        raise InputError(f"{revision}: {what}") from None
    except (DvcException, InputError) as error:
        raise InputError(f"{revision}: {' '.join(str(error).split())}") from None
    return run
