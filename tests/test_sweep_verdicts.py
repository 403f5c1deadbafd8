"""tools.sweep.verdicts: worked by hand, and how often all intervals hold at once."""

import json

import numpy as np
import pandas as pd
import pytest

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
        "It is significantly better than all other 2.",
    ]


def test_settings_that_may_be_as_good_are_named():
    found = Losses({name: FOUND.nll[name] for name in ("hidden-1", "hidden-3")}, CHARACTERS)
    rows = verdicts.judge_settings(PLAN, found, {"hidden-2": 2, "hidden-4": 1}, 0.003)
    best = verdicts.choose_best(rows, found)
    assert best.candidates == ["hidden-1", "hidden-3"]
    lines = verdicts.explain_best(PLAN, rows, best)
    assert lines[1] == "1 of the other 1 may be as good or better: hidden-3."


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
