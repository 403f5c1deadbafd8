"""Which settings of a sweep are really better than its base, and which may be the best."""

import json
import math
from collections.abc import Iterable
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr
from tabulate import tabulate

from charlm import stats
from charlm.core.errors import InputError
from charlm.models.registry import FITTED_ON_DEV
from tools.compare.comparison import CONFIDENCE, difference, t_quantile
from tools.compare.runs import Run, align_names, explain, judge, known_models
from tools.sweep.grid import Plan, Setting

SPLIT = "dev"
WINNER_CONFIDENCE = 0.965  # of each comparison of a sole winner; see may_be_best


class Losses(NamedTuple):
    """What all runs of a sweep scored, on the same names."""

    nll: dict[str, np.ndarray]  # by setting: (runs, names), summed over each name's characters
    characters: np.ndarray  # (names,)


class SettingResult(NamedTuple):
    """One setting beside the base."""

    setting: str
    values: tuple[str, ...]
    runs: int
    loss: float | None  # mean over names and runs; None without runs or if a name has probability 0
    seed_sd: float | None  # of the runs' mean losses; None with fewer than two
    difference: float | None  # from the base; None for the base itself
    low: float | None  # of the joint interval
    high: float | None
    verdict: str
    detail: str = ""


class Best(NamedTuple):
    """The setting with the lowest loss, and what choosing it among others costs."""

    setting: str
    candidates: list[str]  # that one first; the true best is among them in 95 % of cases
    chosen_among: int
    widening: float  # of the intervals, as against one comparison
    optimism: float  # nats; by which the lowest loss would be too low were all settings equal


def losses(model: str, runs: dict[str, list[Run]], split: str = SPLIT) -> Losses:
    """Return the losses of a model in the runs of each setting, on the names that all hold out.

    Raises:
        InputError: the runs do not score the model or the split, or hold out too few names.
    """
    every = [run for side in runs.values() for run in side]
    for run in every:
        if model not in known_models(run):
            has = ", ".join(known_models(run))
            raise InputError(f"sweep: {run.revision}: no model {model}; it has {has}")
        if not (run.evaluation["split"] == split).any():
            raise InputError(
                f"sweep: {run.revision}: {split} was not scored; add it to evaluate.splits, or use "
                "a longer list if it is empty"
            )
    tables = iter(align_names(every, split))
    nll = {}
    for setting, side in runs.items():
        scored = [next(tables) for _ in side]
        nll[setting] = np.stack([(table[model] * table["count"]).to_numpy() for table in scored])
        characters = (scored[0]["characters"] * scored[0]["count"]).to_numpy()
    return Losses(nll, characters)


def judge_settings(
    plan: Plan, found: Losses, failed: dict[str, int], negligible: float
) -> list[SettingResult]:
    """Compare every setting with the base, with joint intervals.

    Args:
        plan: of the sweep.
        found: the losses of those settings whose runs all succeeded.
        failed: how many runs of a setting failed, for the others.
        negligible: a difference as small as this does not matter, nats per character.
    """
    settings = plan.all_settings()
    # also those that failed: how many are compared must not depend on results
    comparisons = max(len(settings) - 1, 1)
    base = found.nll.get(plan.base.name)
    rows = []
    for setting in settings:
        nll = found.nll.get(setting.name)
        if nll is None:
            count = failed[setting.name]
            verdict = f"{count} of {len(plan.experiments(setting))} runs failed"
            row = SettingResult(
                setting.name, setting.values, 0, None, None, None, None, None, verdict
            )
        else:
            row = compare(setting, nll, base, found.characters, comparisons, negligible)
            if setting is plan.base:
                row = row._replace(
                    difference=None, low=None, high=None, verdict="the base", detail=""
                )
        rows.append(row)
    return rows


def compare(
    setting: Setting,
    nll: np.ndarray,
    base: np.ndarray | None,
    characters: np.ndarray,
    comparisons: int,
    negligible: float,
) -> SettingResult:
    """Compare one setting with the base.

    Args:
        setting: what to call it.
        nll, base: (runs, names); NaN: probability 0; no base if its runs failed.
        characters: (names,).
        comparisons: how many are made together.
        negligible: see judge_settings.
    """
    runs = len(nll)
    if zeros := int(np.isnan(nll).any(axis=0).sum()):
        verdict = f"probability 0 for {zeros:,} names"
        return SettingResult(
            setting.name, setting.values, runs, None, None, None, None, None, verdict
        )
    means = [stats.average(run, characters) for run in nll]
    loss = stats.average(nll.mean(axis=0), characters)
    sd = float(np.std(means, ddof=1)) if runs > 1 else None
    if base is None or np.isnan(base).any():
        why = "no base to compare with"
        return SettingResult(setting.name, setting.values, runs, loss, sd, None, None, None, why)
    gap = difference(base, nll, characters, comparisons)
    verdict = judge(gap, negligible)
    detail = explain(verdict, gap, negligible)
    return SettingResult(
        *(setting.name, setting.values, runs, loss, sd, gap.value, *gap.interval),
        verdict=verdict,
        detail=detail,
    )


def choose_best(rows: list[SettingResult], found: Losses) -> Best | None:
    """Return the setting with the lowest loss, the candidates, and the cost of choosing."""
    scored = [row for row in rows if row.loss is not None]
    if len(scored) < 2:
        return None
    names = [row.setting for row in scored]
    count = len(names)
    values = np.zeros((count, count))
    variances, dofs = np.zeros_like(values), np.ones_like(values)
    for a, b in combinations(range(count), 2):
        gap = difference(found.nll[names[a]], found.nll[names[b]], found.characters)
        values[a, b], values[b, a] = -gap.value, gap.value
        variances[a, b] = variances[b, a] = gap.variance
        dofs[a, b] = dofs[b, a] = gap.dof
    pairs = np.triu_indices(count, 1)
    confidence = 1 - (1 - CONFIDENCE) / (len(rows) - 1)
    dof = float(np.median(dofs[pairs]))
    differing = variances[pairs][values[pairs] != 0]
    # the difference of two settings has the variance of both
    error = math.sqrt(float(np.median(differing)) / 2) if len(differing) else 0.0
    best = min(scored, key=lambda row: row.loss or 0.0)
    candidates = [names[place] for place in np.flatnonzero(may_be_best(values, variances, dofs))]
    return Best(
        setting=best.setting,
        candidates=sorted(candidates, key=lambda name: name != best.setting),
        chosen_among=count,
        widening=float(t_quantile(dof, confidence) / t_quantile(dof)),
        optimism=expected_maximum(count) * error,
    )


def may_be_best(values: np.ndarray, variances: np.ndarray, dofs: np.ndarray) -> np.ndarray:
    """Tell which settings may be the best, from the differences of all pairs.

    One that is significantly better than each other one, compared one at a time, is the only
    candidate. That needs no correction for their number: it must win all comparisons, and does so
    by chance most often if just one other setting is as good (Hung & Fithian 2019, Annals of
    Statistics 47(2), for equal variances). Here each pair has its own variance, since seeds may
    vary more under one setting than under another, and Welch's degrees of freedom are then too many
    for few runs: at 95 % each, one of two equal settings is named in up to 6.5 %. At 96.5 %, chosen
    by simulation, it is in less than 5 %, whatever the ratio of the variances.

    Otherwise a setting is no candidate if some other one is significantly better, with as many
    comparisons as there are others: the multiple comparisons with the best of Hsu (1984), Annals of
    Statistics 12(3), with Bonferroni's inequality. Only one side of these intervals counts, so that
    either way of missing the true best has a probability of 2.5 %.

    Args:
        values: (..., settings, settings), by how much the setting of the row loses more than that
            of the column.
        variances, dofs: the same shape, of the values.

    Returns:
        (..., settings) bool.
    """
    settings = values.shape[-1]
    errors = np.sqrt(variances)
    beats = values < -t_quantile(dofs, WINNER_CONFIDENCE) * errors
    is_winner = (beats | np.eye(settings, dtype=bool)).all(axis=-1)
    confidence = max(WINNER_CONFIDENCE, 1 - (1 - CONFIDENCE) / (settings - 1))
    is_beaten = (values > t_quantile(dofs, confidence) * errors).any(axis=-1)
    candidates: np.ndarray = np.where(is_winner.any(axis=-1, keepdims=True), is_winner, ~is_beaten)
    return candidates


def expected_maximum(count: int) -> float:
    """Return the mean of the largest of so many standard normal numbers.

    >>> [round(expected_maximum(count), 3) for count in (2, 3, 10)]
    [0.564, 0.846, 1.539]
    """
    density = math.sqrt(2 * math.pi)

    def weighted(x: float) -> float:
        return x * count * math.exp(-x * x / 2) / density * float(ndtr(x)) ** (count - 1)

    return float(quad(weighted, -10, 10)[0])


def as_text(axes: Iterable[str], rows: list[SettingResult], style: str) -> str:
    """Return the rows as a table in one of tabulate's styles.

    Args:
        axes: the swept parameters.
        rows: of the table.
        style: see tabulate.
    """

    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    cells = [
        (
            *row.values,
            number(row.loss, ".4f"),
            number(row.seed_sd, ".4f"),
            number(row.difference, "+.5f"),
            "" if row.low is None else f"{row.low:+.5f} to {row.high:+.5f}",
            row.verdict + row.detail,
        )
        for row in rows
    ]
    headers = (*axes, "loss", "seeds' SD", "difference", "joint 95 % interval", "verdict")
    align = ("right",) * (len(headers) - 1) + ("left",)
    return tabulate(cells, headers, tablefmt=style, disable_numparse=True, colalign=align)


def explain_best(plan: Plan, rows: list[SettingResult], best: Best | None) -> list[str]:
    """Return the lines below the table: the best setting, and how sure that is."""
    if best is None:
        return ["Fewer than two settings have a loss, so there is nothing to choose from."]
    row = next(row for row in rows if row.setting == best.setting)
    pairs = zip(plan.axes, row.values, strict=True)
    what = " ".join(f"{key}={value}" for key, value in pairs)
    against = f", {row.verdict} than the base" if row.verdict in ("better", "worse") else ""
    lines = [f"Lowest loss: {what} ({best.setting}), {row.loss:.4f}{against}."]
    if others := [name for name in best.candidates if name != best.setting]:
        lines.append(
            f"{len(others)} of the other {best.chosen_among - 1} may be as good or better: "
            f"{', '.join(others)}."
        )
    else:
        lines.append(
            "It is the best with 95 % confidence: significantly better than each of the other "
            f"{best.chosen_among - 1}."
        )
    lines.append(
        f"The price of choosing among {best.chosen_among}: intervals are {best.widening:.2f} times "
        "as wide as that of one comparison, and"
    )
    lines.append(
        f"were all settings equal, the lowest loss would still seem {best.optimism:.4f} too low."
    )
    return lines


def notes(plan: Plan, names: int) -> list[str]:
    """Return what the numbers of the table are."""
    several = len(plan.seeds) > 1
    seeds = f"mean of {len(plan.seeds)} seeds ({plan.seed_param})"
    what = seeds if several else "one run per setting"
    over = "over names and seeds" if several else "for these trained models"
    lines = [
        f"Nats per character of {plan.model} on {names:,} {SPLIT} names not in train; {what}.",
        f"All {len(plan.all_settings()) - 1} intervals hold at once in 95 % of cases, {over}.",
    ]
    if plan.model in FITTED_ON_DEV:
        lines.append(f"{plan.model} was fitted on dev, which makes its losses there too low.")
    return lines


def as_json(
    plan: Plan,
    rows: list[SettingResult],
    best: Best | None,
    lines: list[str],
    errors: dict[str, str],
) -> str:
    """Return everything for programs; see `from_json`.

    Args:
        plan: of the sweep.
        rows: of the table.
        best: see choose_best.
        lines: what is printed below the table.
        errors: of failed experiments, by name.
    """
    settings = [
        row._asdict()
        | {
            "values": dict(zip(plan.axes, row.values, strict=True)),
            "is_base": row.setting == plan.base.name,
        }
        for row in rows
    ]
    content = {
        "model": plan.model,
        "split": SPLIT,
        "seed_param": plan.seed_param or None,
        "seeds": plan.seeds,
        "settings": settings,
        "best": best and best._asdict(),
        "lines": lines,
        "errors": errors,
    }
    return json.dumps(content, indent=2)


def table_of_json(content: dict[str, Any], style: str) -> str:
    """Return the table that a sweep printed, and what was below it, from what --json printed."""
    rows = [
        SettingResult(
            **{field: one[field] for field in SettingResult._fields}
            | {"values": (*one["values"].values(),)}
        )
        for one in content["settings"]
    ]
    table = as_text(content["settings"][0]["values"], rows, style)
    return "\n".join([table, "", *content["lines"]])
