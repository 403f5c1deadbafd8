"""tools.sweep.verdicts: worked by hand, and how often all intervals hold at once."""

import json

import numpy as np
import pandas as pd
import pytest

from charlm.core.errors import InputError
from tools.compare.comparison import RunVariance, total_variance
from tools.compare.runs import Run
from tools.sweep import picture, verdicts
from tools.sweep.grid import Plan, Setting
from tools.sweep.verdicts import Losses

SETTINGS = [Setting(f"hidden-{value}", (value,), [f"mlp.hidden={value}"]) for value in "1234"]
PLAN = Plan(
    axes={"mlp.hidden": list("1234")},
    model="mlp",
    seed_param="mlp.seed",
    seeds=[1, 2],
    settings=SETTINGS,
    base=SETTINGS[0],
)
# per character: no two names differ, so all variance is that of the seeds
CHARACTERS = np.full(40, 5)
MEANS = {"hidden-1": [2.0, 2.1], "hidden-2": [1.0, 1.1], "hidden-3": [2.05, 2.15]}
FOUND = Losses({name: np.outer(means, CHARACTERS) for name, means in MEANS.items()}, CHARACTERS)


def test_table_by_hand():
    base, better, same, failed = verdicts.judge_settings(PLAN, FOUND, {"hidden-4": 1}, 0.003)
    assert (base.verdict, base.difference, base.low) == ("the base", None, None)
    assert base.loss == pytest.approx(2.05)
    assert base.seed_sd == pytest.approx(0.1 / 2**0.5)
    assert better.verdict == "better"
    assert better.difference == pytest.approx(-1)
    # the variance of each side is 0.1**2 / 2 / 2, with one degree of freedom each and two together;
    # of three intervals each has a confidence of 1 - 0.05 / 3: t of 2 degrees at 0.991667 is 7.6488
    assert better.high == pytest.approx(-1 + 7.6488 * 0.005**0.5, abs=1e-4)
    assert same.verdict == "not significant"
    assert same.detail.startswith("; differences above ")
    assert failed.verdict == "1 of 2 runs failed"
    assert failed.loss is None


def test_best_by_hand():
    rows = verdicts.judge_settings(PLAN, FOUND, {"hidden-4": 1}, 0.003)
    best = verdicts.choose_best(rows, FOUND)
    assert (best.setting, best.candidates, best.chosen_among) == ("hidden-2", ["hidden-2"], 3)
    # the largest of three standard normal numbers is 0.8463 on average
    assert best.optimism == pytest.approx(0.8463 * (0.005 / 2) ** 0.5, abs=1e-5)
    # t of 2 degrees of freedom at 0.991667, as against 0.975
    assert best.widening == pytest.approx(7.6488 / 4.3027, abs=1e-4)
    lines = verdicts.explain_best(PLAN, rows, best)
    assert lines[:2] == [
        "Lowest loss: mlp.hidden=2 (hidden-2), 1.0500, better than the base.",
        "It is the best with 95 % confidence: significantly better than each of the other 2.",
    ]


def test_settings_that_may_be_as_good_are_named():
    found = Losses({name: FOUND.nll[name] for name in ("hidden-1", "hidden-3")}, CHARACTERS)
    rows = verdicts.judge_settings(PLAN, found, {"hidden-2": 2, "hidden-4": 1}, 0.003)
    best = verdicts.choose_best(rows, found)
    assert best.candidates == ["hidden-1", "hidden-3"]
    lines = verdicts.explain_best(PLAN, rows, best)
    assert lines[1] == "1 of the other 1 may be as good or better: hidden-3."
    # the best is first among the candidates, wherever it is in the table
    nll = {"hidden-1": FOUND.nll["hidden-3"], "hidden-3": FOUND.nll["hidden-1"]}
    rows = verdicts.judge_settings(PLAN, found._replace(nll=nll), {"hidden-2": 2, "hidden-4": 1}, 0)
    best = verdicts.choose_best(rows, found._replace(nll=nll))
    assert (best.setting, best.candidates) == ("hidden-3", ["hidden-3", "hidden-1"])


@pytest.mark.parametrize(
    ("values", "candidates"),
    [
        # Student's t of 2 degrees of freedom is 5.2039 at 0.9825, and 6.2053 at 0.9875: of two
        # comparisons
        ([0.0, 5.3], [True, False]),
        ([0.0, 5.1], [True, True]),
        ([0.0, 5.3, 9.0], [True, False, False]),
        ([0.0, 5.1, 6.0], [True, True, True]),
        ([0.0, 5.1, 6.3], [True, True, False]),
        ([6.3, 5.1, 0.0], [False, True, True]),
        ([0.0, 0.0, 6.3], [True, True, False]),
        ([0.0, 0.0, 0.0], [True, True, True]),
    ],
)
def test_candidates_by_hand(values: list[float], candidates: list[bool]):
    losses = np.array(values)
    differences = losses[:, None] - losses
    ones = np.ones_like(differences)
    assert verdicts.may_be_best(differences, ones, 2 * ones).tolist() == candidates


def test_winner_has_to_beat_each_other_setting_at_the_variance_of_the_two():
    differences = np.array([[0.0, -6.0, -9.0], [6.0, 0.0, -4.0], [9.0, 4.0, 0.0]])
    variances = np.ones((3, 3))
    variances[0, 2] = variances[2, 0] = 3**2  # 9 is 3 standard errors
    found = verdicts.may_be_best(differences, variances, np.full((3, 3), 2.0))
    assert found.tolist() == [True, True, True]


def test_a_name_of_probability_0_leaves_no_loss():
    nll = FOUND.nll["hidden-2"].copy()
    nll[0, 3:5] = np.nan
    found = FOUND._replace(nll=FOUND.nll | {"hidden-2": nll})
    rows = verdicts.judge_settings(PLAN, found, {"hidden-4": 1}, 0.003)
    assert (rows[1].loss, rows[1].verdict) == (None, "probability 0 for 2 names")
    assert verdicts.choose_best(rows, found).setting == "hidden-1"


def test_without_a_base_losses_are_shown_and_not_compared():
    found = FOUND._replace(nll={name: FOUND.nll[name] for name in ("hidden-2", "hidden-3")})
    rows = verdicts.judge_settings(PLAN, found, {"hidden-1": 2, "hidden-4": 1}, 0.003)
    assert [row.verdict for row in rows] == [
        "2 of 2 runs failed",
        "no base to compare with",
        "no base to compare with",
        "1 of 2 runs failed",
    ]
    assert verdicts.choose_best(rows, found).setting == "hidden-2"
    assert picture.draw(PLAN, rows)


def run(revision: str, nll: float, extra_name: str = "zoe") -> Run:
    names = [f"name{number}" for number in range(40)] + [extra_name]
    table = pd.DataFrame(
        {"split": "dev", "name": names, "characters": 6, "in_train": False, "mlp": nll}
    )
    table.loc[0, "in_train"] = True
    return Run(revision, table, "names", {"mlp": {"seed": 1}, "split": {"dev": 0.1}})


def test_losses_are_those_of_names_not_in_train_in_all_runs():
    runs = {"a": [run("a1", 12), run("a2", 13)], "b": [run("b1", 14), run("b2", 15, "mia")]}
    found = verdicts.losses("mlp", runs)
    assert found.characters.tolist() == [6] * 39
    assert {name: nll[:, 0].tolist() for name, nll in found.nll.items()} == {
        "a": [12, 13],
        "b": [14, 15],
    }
    assert found.nll["a"].shape == (2, 39)


def test_name_that_occurs_twice_weighs_twice():
    once = run("a1", 12)
    again = once.evaluation[once.evaluation["name"] == "name1"]
    twice = once._replace(evaluation=pd.concat([once.evaluation, again]))
    found = verdicts.losses("mlp", {"a": [twice]})
    # of 6 characters each, the first of which is in train
    assert found.characters.tolist() == [12] + [6] * 39
    assert found.nll["a"].tolist() == [[24] + [12] * 39]


@pytest.mark.parametrize(
    ("model", "split", "line"),
    [
        ("gpt", "dev", "^sweep: a1: no model gpt; it has mlp$"),
        ("mlp", "test", r"^sweep: a1: test was not scored; add it to evaluate\.splits, or use "),
    ],
)
def test_losses_that_no_run_has_are_refused(model: str, split: str, line: str):
    with pytest.raises(InputError, match=line):
        verdicts.losses(model, {"a": [run("a1", 12)]}, split)


def test_notes_say_how_many_runs_there_are_and_what_was_fitted_on_dev():
    assert verdicts.notes(PLAN, 2748) == [
        "Nats per character of mlp on 2,748 dev names not in train; mean of 2 seeds (mlp.seed).",
        "All 3 intervals hold at once in 95 % of cases, over names and seeds.",
    ]
    assert verdicts.notes(PLAN._replace(model="mixture", seeds=[]), 40) == [
        "Nats per character of mixture on 40 dev names not in train; one run per setting.",
        "All 3 intervals hold at once in 95 % of cases, for these trained models.",
        "mixture was fitted on dev, which makes its losses there too low.",
    ]


def test_json_has_everything_and_no_nan():
    rows = verdicts.judge_settings(PLAN, FOUND, {"hidden-4": 1}, 0.003)
    best = verdicts.choose_best(rows, FOUND)
    errors = {"hidden-4-seed-1": "train_mlp: diverged"}
    text = verdicts.as_json(PLAN, rows, best, ["Lowest loss: 2"], errors)
    assert "NaN" not in text
    found = json.loads(text)
    assert [one["is_base"] for one in found["settings"]] == [True, False, False, False]
    assert found["settings"][1]["values"] == {"mlp.hidden": "2"}
    assert found["best"]["setting"] == "hidden-2"
    assert found["errors"] == errors
    shown = verdicts.table_of_json(found, "pipe")
    assert shown == f"{verdicts.as_text(PLAN.axes, rows, 'pipe')}\n\nLowest loss: 2"


def test_picture_has_a_line_per_second_parameter_and_the_same_bytes_each_time():
    axes = {"mlp.lr": ["0.01", "1"], "mlp.init": ["scaled", "normal"]}
    settings = [
        Setting(f"{lr}-{init}", (lr, init), [])
        for lr in axes["mlp.lr"]
        for init in axes["mlp.init"]
    ]
    plan = PLAN._replace(axes=axes, settings=settings, base=Setting("base", ("2", "scaled"), []))
    names = ["base", *(setting.name for setting in settings)]
    nll = {name: np.outer([2 + i / 10, 2.05 + i / 9], CHARACTERS) for i, name in enumerate(names)}
    rows = verdicts.judge_settings(plan, Losses(nll, CHARACTERS), {}, 0.003)
    drawn = picture.draw(plan, rows)
    assert drawn == picture.draw(plan, rows)
    text = drawn.decode()
    for label in ("mlp.init scaled", "mlp.init normal", "base", "mlp.lr"):
        assert f"<!-- {label} -->" in text


# --- simulated --------------------------------------------------------------------------------

DRAWS = 1000
NAMES = 200


def draw(generator: np.random.Generator, settings: int, runs: int, seed: float) -> Losses:
    """Draw the losses of settings that are equally good on average over all names and seeds."""
    characters = generator.integers(3, 11, size=NAMES)
    hard = generator.normal(2.1, 0.3, size=NAMES)  # for all settings
    nll = {}
    for number in range(settings):
        suits = generator.normal(0, 0.1, size=NAMES)  # this setting
        moved = generator.normal(0, seed, size=(runs, 1))
        noise = generator.normal(0, 0.06, size=(runs, NAMES))
        nll[f"hidden-{number}"] = (hard + suits + moved + noise) * characters
    return Losses(nll, characters)


def simulated_plan(settings: int) -> Plan:
    values = list(map(str, range(settings)))
    every = [Setting(f"hidden-{value}", (value,), []) for value in values]
    return PLAN._replace(axes={"mlp.hidden": values}, settings=every, base=every[0])


@pytest.mark.parametrize(
    ("settings", "runs", "seed"),
    [
        (7, 5, 0.013),
        *(
            pytest.param(*setting, marks=pytest.mark.faults)
            for setting in [
                (7, 3, 0.013),
                (7, 5, 0.0),
                (3, 2, 0.009),
                (13, 3, 0.004),
                (13, 10, 0.03),
                (7, 1, 0.0),
            ]
        ),
    ],
)
def test_19_of_20_sweeps_without_a_difference_show_none(settings: int, runs: int, seed: float):
    """The binomial standard deviation is 0.007."""
    generator = np.random.default_rng(1)
    plan = simulated_plan(settings)
    held = 0
    for _ in range(DRAWS):
        rows = verdicts.judge_settings(plan, draw(generator, settings, runs, seed), {}, 0.003)
        held += all(row.low <= 0 <= row.high for row in rows[1:])
    print(f"joint coverage: {held / DRAWS:.3f}")
    assert 0.93 <= held / DRAWS <= 0.99


def simulate(
    draws: int, means: list[float], sds: list[float], runs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw sweeps; return the candidates of each, and the setting with the lowest loss.

    Args:
        draws: how many sweeps.
        means: true losses of the settings; the names add nothing.
        sds: standard deviation of the seeds of each setting.
        runs: of each setting.

    Returns:
        candidates: (draws, settings) bool.
        lowest: (draws,), the setting with the lowest loss.
    """
    shape = (draws, len(means), runs)
    nll = np.random.default_rng(1).normal(np.c_[means], np.c_[sds], shape)
    means_of_runs, total = nll.mean(axis=2), nll.var(axis=2, ddof=1) / runs
    sides = [
        RunVariance(np.broadcast_to(side, (draws, len(means), len(means))), 0.0, runs - 1)
        for side in (total[:, :, None], total[:, None, :])
    ]
    variances, dofs = total_variance(np.zeros(sides[0].total.shape), NAMES - 1, sides)
    values = means_of_runs[:, :, None] - means_of_runs[:, None, :]
    return verdicts.may_be_best(values, variances, dofs), means_of_runs.argmin(axis=1)


# by joint intervals alone, it would be named in 0.000, 0.11 and 0.17
@pytest.mark.parametrize(
    ("settings", "runs", "share"), [(9, 3, 0.036), (9, 5, 0.563), (3, 3, 0.246)]
)
def test_the_better_setting_is_named_the_best(settings: int, runs: int, share: float):
    """One is better by 0.010, and the seeds' standard deviation is 0.004."""
    means, sds = [0.0] + [0.010] * (settings - 1), [0.004] * settings
    candidates, lowest = simulate(2000, means, sds, runs)
    assert np.mean(lowest == 0) > 0.98
    is_named = candidates.sum(axis=1) == 1
    assert np.mean(is_named & candidates[:, 0]) == pytest.approx(share, abs=0.03)
    assert not (is_named & ~candidates[:, 0]).any()


def errors(draws: int, best: int, others: int, runs: int, ratio: float) -> tuple[float, float]:
    """Return how often a sweep wrongly names one setting the best, and how often it misses a best.

    Args:
        draws: how many sweeps.
        best: how many settings are equally good, of which the first has noisier seeds.
        others: how many are far worse.
        runs: of each setting.
        ratio: standard deviation of the seeds of the first setting to that of the others.
    """
    sds = [0.004 * ratio] + [0.004] * (best + others - 1)
    candidates, _ = simulate(draws, [0.0] * best + [1.0] * others, sds, runs)
    missed = 1 - candidates[:, :best].mean(axis=0)
    return float(np.mean(candidates.sum(axis=1) == 1)), float(missed.max())


# of 2,000 draws, the binomial standard deviation of 0.05 is 0.005
@pytest.mark.parametrize(
    ("best", "others", "runs", "ratio"),
    [(2, 0, 3, 1), (2, 7, 3, 1), (9, 0, 3, 1), (3, 0, 5, 1), (2, 7, 3, 7)],
)
def test_no_setting_is_named_the_best_among_equals(best: int, others: int, runs: int, ratio: float):
    named, missed = errors(2000, best, others, runs, ratio)
    assert named <= 0.05
    assert missed <= 0.05


@pytest.mark.faults
@pytest.mark.parametrize("runs", [2, 3, 5, 10])
@pytest.mark.parametrize("ratio", [0.1, 1, 3, 15])
def test_errors_over_numbers_of_settings_and_strengths_of_seeds(runs: int, ratio: float):
    sizes = [(2, 0), (2, 1), (2, 7), (3, 0), (9, 0)]
    found = {size: errors(10_000, *size, runs, ratio) for size in sizes}
    print(f"{runs} runs, ratio {ratio:.1f}: {np.max(list(found.values()), axis=0).round(3)}")
    assert not {size: found[size] for size in sizes if max(found[size]) > 0.05}


@pytest.mark.faults
def test_single_comparisons_of_many_settings_would_show_one_too_often():
    generator = np.random.default_rng(1)
    plan = simulated_plan(7)
    held = 0
    for _ in range(DRAWS):
        found = draw(generator, 7, 5, 0.013)
        base = found.nll["hidden-0"]
        rows = [
            verdicts.compare(one, found.nll[one.name], base, found.characters, 1, 0.003)
            for one in plan.settings[1:]
        ]
        held += all(row.low <= 0 <= row.high for row in rows)
    assert held / DRAWS < 0.87


@pytest.mark.faults
def test_true_best_is_among_the_candidates_and_the_lowest_loss_is_as_low_as_said():
    generator = np.random.default_rng(2)
    plan = simulated_plan(6)
    among, lowest, said = 0, [], []
    draws = 300
    for _ in range(draws):
        found = draw(generator, 6, 3, 0.01)
        mean = np.mean([nll.sum() / 3 / found.characters.sum() for nll in found.nll.values()])
        rows = verdicts.judge_settings(plan, found, {}, 0.003)
        best = verdicts.choose_best(rows, found)
        among += "hidden-3" in best.candidates  # as good as all others
        lowest.append(mean - min(row.loss for row in rows))
        said.append(best.optimism)
    assert among / draws >= 0.95
    assert np.mean(said) == pytest.approx(np.mean(lowest), rel=0.1)
