"""What a page says in words and tables: what was run, losses, verdicts, samples."""

import json
from itertools import pairwise
from typing import Any, NamedTuple

from charlm.core.errors import InputError
from charlm.data.vocabulary import Vocabulary
from charlm.drawing.symbols import symbol_label
from charlm.models.registry import FITTED_ON_DEV
from tools.compare.runs import (
    NEGLIGIBLE,
    Comparison,
    Settings,
    caveats,
    compare_runs,
    flattened,
    known_models,
)
from tools.dvc_state import WORKSPACE
from tools.report.playground import pack
from tools.report.results import UNSEEN, Loss, Pairs, Results

HALF_INTERVAL = 1.96  # standard errors in half of a 95 % interval
MAX_SAMPLES = 20  # per model
MAX_PATHS = 3  # named where files are missing; the rest are counted
MIN_SHOWN = 0.005  # probability; smaller ones are left blank in a table of pairs
MAX_LENGTH = 60  # characters of a parameter


class Cell(NamedTuple):
    """A loss in the table of results."""

    loss: Loss | None
    is_best: bool  # of its column
    is_fitted: bool  # on these names, so it is too low


class Line(NamedTuple):
    """A model's line in the table of results."""

    model: str
    side: str
    cells: list[Cell]
    place: float | None  # of its loss on unseen names, in percent of the range of all models
    half: float  # half of its 95 % interval, likewise


class Sample(NamedTuple):
    """A name that a model made up."""

    name: str
    mark: str  # train: it occurs there | dev: only there | new | "": not known


class PairCell(NamedTuple):
    """A pair in a table of probabilities."""

    percent: str  # empty below MIN_SHOWN
    depth: int  # of its colour, 0 to 100


class PairGroup(NamedTuple):
    """Tables of the probabilities of pairs, side by side."""

    labels: list[str]
    tables: dict[str, list[list[PairCell]]]  # row: first symbol, column: the next
    said: list[list[str]]  # what the hover over a pair says
    left_out: int  # symbols that the tables have no room for


class Neighbours(NamedTuple):
    """The characters that the MLP treats most like each other."""

    nearest: list[tuple[str, list[str]]]  # of each character, the nearest first
    vowels: str  # whether those of vowels are vowels; empty if that is not known


def facts(side: Results) -> dict[str, str]:
    """Return what was run."""
    found = {}
    if side.commit:
        found["Revision"] = f"{side.revision} ({side.commit[:10]})"
    fetch = side.settings.get("fetch", {})
    if url := fetch.get("url"):
        digest = f" (SHA-256 {str(fetch['sha256'])[:12]}…)" if fetch.get("sha256") else ""
        found["Data set"] = f"{str(url).rpartition('/')[2]}{digest}"
    if names := [name for split in side.splits.values() for name in split]:
        found["Names"] = f"{len(names):,}, {len(set(names)):,} of them different"
        found["Split"] = ", ".join(f"{split} {len(part):,}" for split, part in side.splits.items())
    train = set(side.splits.get("train", []))
    shares = {
        split: sum(name in train for name in part) / len(part)
        for split, part in side.splits.items()
        if split != "train" and part and train
    }
    if shares:
        parts = " and ".join(f"{share:.1%} of {split}" for split, share in shares.items())
        found["Leak"] = f"{parts} also occur in train"
    if side.vocabulary:
        found["Characters"] = f"{len(side.vocabulary.characters):,}"
    return found


def facts_by_side(sides: dict[str, Results]) -> dict[str, dict[str, str]]:
    """Return what was run by revision; once, with both revisions, if the rest is the same."""
    found = {name: facts(side) for name, side in sides.items()}
    if len(found) == 1:
        return found
    revisions = {name: one.pop("Revision", WORKSPACE) for name, one in found.items()}
    shared = next(iter(found.values()))
    if all(one == shared for one in found.values()):
        return {"": revisions | shared}
    return {name: {"Revision": revisions[name]} | one for name, one in found.items()}


def changed_parameters(before: Settings, after: Settings) -> list[tuple[str, str, str]]:
    """Return the parameters that differ, with both values.

    >>> changed_parameters({"mlp": {"hidden": 200, "lr": 0.1}}, {"mlp": {"hidden": 300, "lr": 0.1}})
    [('mlp.hidden', '200', '300')]
    """
    old, new = (
        {
            key: shortened(value if isinstance(value, str) else json.dumps(value))
            for key, value in flattened(settings).items()
        }
        for settings in (before, after)
    )
    return [
        (key, old.get(key, "none"), new.get(key, "none"))
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]


def shortened(text: str) -> str:
    """Return a text without its middle if it is long."""
    half = MAX_LENGTH // 2
    return text if len(text) <= MAX_LENGTH else f"{text[:half]}…{text[-half:]}"


def loss_columns(sides: dict[str, Results]) -> list[str]:
    """Return over which names losses are averaged: splits, and their names not in train."""
    return list(
        dict.fromkeys(
            names
            for side in sides.values()
            for by_names in side.losses.values()
            for names in by_names
        )
    )


def result_lines(sides: dict[str, Results], models: list[str]) -> list[Line]:
    """Return the table of results, one line per model and revision."""
    found = {
        (model, name): side.losses[model]
        for model in models
        for name, side in sides.items()
        if model in side.losses
    }
    columns = loss_columns(sides)
    known = {
        names: [nll for by in found.values() if (nll := nll_of(by, names)) is not None]
        for names in columns
    }
    best = {names: min(values, default=None) for names, values in known.items()}
    # that of names which no model was trained on, if there are such
    compared = next((names for names in columns if names.endswith(UNSEEN)), "")
    ranges = {
        key: (nll, HALF_INTERVAL * (by[compared].stderr or 0))
        for key, by in found.items()
        if (nll := nll_of(by, compared)) is not None
    }
    low = min((nll - half for nll, half in ranges.values()), default=0)
    width = max((nll + half for nll, half in ranges.values()), default=1) - low or 1
    lines: list[Line] = []
    for (model, name), by_names in found.items():
        losses = [by_names.get(names) for names in columns]
        if lines and lines[-1].model == model and [one.loss for one in lines[-1].cells] == losses:
            lines[-1] = lines[-1]._replace(side=f"{lines[-1].side} and {name}")
            continue
        cells = [
            Cell(
                loss=loss,
                is_best=nll_of(by_names, names) == best[names] is not None,
                is_fitted=names.startswith("dev") and model in FITTED_ON_DEV,
            )
            for names, loss in zip(columns, losses, strict=True)
        ]
        nll, half = ranges.get((model, name), (None, 0))
        place = None if nll is None else round(100 * (nll - low) / width, 2)
        lines.append(Line(model, name, cells, place, round(100 * half / width, 2)))
    return lines


def nll_of(by_names: dict[str, Loss], names: str) -> float | None:
    """Return the loss over some names; None if there is none, or it is infinite."""
    return by_names[names].nll if names in by_names else None


def compare_revisions(sides: dict[str, Results]) -> list[Comparison]:
    """Compare two revisions model by model.

    Raises:
        InputError: they cannot be compared.
    """
    a, b = (side.run for side in sides.values())
    if a is None or b is None:
        raise InputError("the losses of single names are not here")
    shared = [name for name in known_models(a) if name in known_models(b)]
    return compare_runs([a], [b], {model: (model, model) for model in shared}, NEGLIGIBLE)


def headline(sides: dict[str, Results]) -> str:
    """Say in one sentence whether B is better, on the first split that was compared."""
    try:
        rows = compare_revisions(sides)
    except InputError as error:
        return f"Not known: {error}."
    rows = [row for row in rows if row.split == rows[0].split]
    on = f"on {rows[0].split}"
    better, worse = (
        ", ".join(f"{row.model} {amount(row)}".rstrip() for row in rows if row.verdict == verdict)
        for verdict in ("better", "worse")
    )
    if better and worse:
        return f"In part: {on}, B is better in {better}, and worse in {worse}."
    if better:
        return f"Yes: {on}, B is better in {better}."
    if worse:
        return f"No: {on}, B is worse in {worse}."
    if all(row.verdict == "the same" for row in rows):
        return f"No: {on}, A and B predict the same, name for name."
    differ = ", ".join(f"{row.model}: {row.verdict}" for row in rows if row.verdict != "the same")
    return f"No difference that matters {on} ({differ})."


def verdicts(sides: dict[str, Results]) -> list[str]:
    """Compare each model with the next best one, or two revisions model by model."""
    runs = [side.run for side in sides.values() if side.run is not None]
    if len(runs) < len(sides):
        return []
    try:
        if len(runs) > 1:
            rows = compare_revisions(sides)
            same = [f"{row.model} on {row.split}" for row in rows if row.verdict == "the same"]
            together = [f"The same, name for name: {', '.join(same)}."] if same else []
            return together + [revision_sentence(r) for r in rows if r.verdict != "the same"]
        ranked = rank_models(*sides.values())
        pairs = {f"{one}\n{other}": (one, other) for one, other in pairwise(ranked)}
        rows = compare_runs(runs, runs, pairs, NEGLIGIBLE)
        # the first split only: dev, unless it is empty
        return [model_sentence(row) for row in rows if row.split == rows[0].split]
    except InputError as error:
        return [f"No comparison: {error}."]


def rank_models(side: Results) -> list[str]:
    """Return the models, the best on unseen names first."""

    def nll(model: str) -> float:
        unseen = (one.nll for names, one in side.losses[model].items() if names.endswith(UNSEEN))
        return next((value for value in unseen if value is not None), float("inf"))

    return sorted(side.losses, key=nll)


def model_sentence(row: Comparison) -> str:
    """Return the verdict on two models of one run.

    Args:
        row: the comparison; its `model` has a model per line, A and B.
    """
    a, b = row.model.split("\n")
    detail = row.detail.replace("under A", f"under {a}").replace("under B", f"under {b}")
    if row.verdict == "the same":
        return f"{a} and {b} predict the same."
    if row.verdict in ("not significant", "cannot be compared"):
        return f"{a} and {b}: {row.verdict}{detail}."
    b_is_better = row.verdict == "better" or (row.difference is not None and row.difference < 0)
    winner, loser = (b, a) if b_is_better else (a, b)
    by = f" by {amount(row)}" if row.difference is not None else detail
    but = ", which is significant but negligible" if "negligible" in row.verdict else ""
    return f"{winner} beats {loser}{by}{but}."


def revision_sentence(row: Comparison) -> str:
    """Return the verdict on a model of two revisions."""
    is_significant = row.verdict in ("better", "worse", "significant but negligible")
    by = f" by {amount(row)}" if is_significant and row.difference is not None else row.detail
    if row.verdict in ("better", "worse"):
        return f"{row.model} on {row.split}: B is {row.verdict}{by}."
    comma = "," if row.verdict == "significant but negligible" else ""
    return f"{row.model} on {row.split}: {row.verdict}{comma}{by}."


def amount(row: Comparison) -> str:
    """Return the size of a difference with half of its 95 % interval."""
    if row.difference is None or row.high is None or row.low is None:
        return ""
    return f"{abs(row.difference):.4f} ± {(row.high - row.low) / 2:.4f}"


def notes(sides: dict[str, Results]) -> list[str]:
    """Return what a reader should know about a comparison of two revisions."""
    runs = [side.run for side in sides.values() if side.run is not None]
    return caveats(runs[:1], runs[1:], {*known_models(runs[0])}) if len(runs) > 1 else []


def samples(side: Results) -> dict[str, list[Sample]]:
    """Return names that each model made up, and where they occur."""
    train, dev = (set(side.splits.get(split, ())) for split in ("train", "dev"))

    def mark(name: str) -> str:
        if not train:
            return ""
        return "train" if name in train else "dev" if name in dev else "new"

    return {
        model: [Sample(name, mark(name)) for name in names[:MAX_SAMPLES]]
        for model, names in side.samples.items()
    }


def missing(sides: dict[str, Results]) -> list[str]:
    """Say, one line per revision, what is left out, and the command that creates it."""
    lines = []
    for side in sides.values():
        if side.run is None:
            lines.append(f"{side.stale}.")
        if side.missing and (side.run is not None or "neither in git" not in side.stale):
            more = len(side.missing) - MAX_PATHS
            paths = ", ".join(side.missing[:MAX_PATHS]) + (f" and {more} more" if more > 0 else "")
            make = "dvc repro"
            if side.revision != WORKSPACE:
                make = f"git switch --detach {side.commit[:10]} && dvc repro && git switch -"
            lines.append(f"{side.revision}: not here: {paths}; to make them: {make}.")
    return lines


def pair_groups(sides: dict[str, Results]) -> dict[str, PairGroup]:
    """Return the tables of pairs by revision; one that is the same in both is there once."""
    groups = {
        name: pair_group(side.pairs, side.vocabulary)
        for name, side in sides.items()
        if side.pairs is not None and side.vocabulary is not None
    }
    if len(groups) > 1 and len({repr(group) for group in groups.values()}) == 1:
        return {"": next(iter(groups.values()))}
    return groups


def pair_group(pairs: Pairs, vocabulary: Vocabulary) -> PairGroup:
    """Return a table per kind of probability, each cell with its percentage and what it says."""
    labels = [symbol_label(vocabulary.itos[number]) for number in pairs.symbols]
    tables = {
        title: [
            [PairCell(f"{100 * p:.0f}" if p >= MIN_SHOWN else "", round(100 * p**0.5)) for p in row]
            for row in P.tolist()
        ]
        for title, P in pairs.probabilities.items()
    }
    said = [
        [
            f"{labels[i]} → {labels[j]}: {pairs.counts[i, j]:,} of {pairs.totals[i]:,} times; "
            + ", ".join(f"{title} {P[i, j]:.2%}" for title, P in pairs.probabilities.items())
            for j in range(len(labels))
        ]
        for i in range(len(labels))
    ]
    return PairGroup(labels, tables, said, len(vocabulary) - len(labels))


def pair_data(sides: dict[str, Results], groups: dict[str, PairGroup]) -> list[dict[str, Any]]:
    """Return what sections.js looks pairs up in, one per group of tables."""
    *_, last = sides.values()
    shown = [sides.get(name, last) for name in groups]
    return [
        {
            "symbols": side.vocabulary.itos,
            "labels": [symbol_label(symbol) for symbol in side.vocabulary.itos],
            "totals": side.pairs.frequency.tolist(),
            "seen": pack(side.pairs.seen),
        }
        for side in shown
        if side.vocabulary is not None and side.pairs is not None
    ]


def neighbours(sides: dict[str, Results]) -> dict[str, Neighbours]:
    """Return by revision which characters the MLP treats alike."""
    found = {}
    for name, side in sides.items():
        if not side.alike or side.vocabulary is None:
            continue
        view, embedding = side.alike["predictions"], side.alike["embedding"]
        labels = [symbol_label(side.vocabulary.itos[number]) for number in view.numbers]
        nearest = [[labels[other] for other in others] for others in view.neighbours]
        vowels = ""
        if view.vowels is not None and embedding.vowels is not None and view.chance is not None:
            vowels = (
                f"Of the nearest neighbours of vowels, {view.vowels:.0%} are vowels by what the "
                f"MLP predicts, {embedding.vowels:.0%} in the embedding; chance: {view.chance:.0%}."
            )
        found[name] = Neighbours(list(zip(labels, nearest, strict=True)), vowels)
    return found
