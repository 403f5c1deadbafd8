"""tools.compare.comparison: worked by hand, and how often its intervals hold the difference."""

import math
from functools import cache
from itertools import product

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import chi2

from tools.compare import comparison
from tools.compare.comparison import RunVariance

DRAWS = 2000
NAMES = 300
RUNS = [(1, 2), (1, 3), (1, 10), (2, 2), (2, 3), (2, 4), (2, 10), (3, 3), (3, 10), (5, 5), (10, 10)]


def draw(
    generator: np.random.Generator,
    runs: tuple[int, int] = (1, 1),
    gap: float = 0.0,
    seed: tuple[float, float] = (0.0, 0.0),
    names: int = NAMES,
    suits: float = 0.1,
    own: tuple[float, float] = (0.06, 0.06),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the losses of two recipes on some names: (runs, names) twice, and the characters.

    Args:
        runs: of each recipe.
        gap: how much more the second recipe loses, in the mean of all names and seeds.
        seed: standard deviation that a seed gives to the loss of all names together, per recipe.
        suits: standard deviation over names of what they lose more under the second recipe.
        own: standard deviation over names of what they lose more with one seed, per recipe.
    """
    characters = generator.integers(3, 11, size=names)
    hard = generator.normal(2.1, 0.3, size=names)  # for both recipes

    def side(number: int, extra: np.ndarray | float) -> np.ndarray:
        moved = generator.normal(0, seed[number], size=(runs[number], 1))
        noise = generator.normal(0, own[number], size=(runs[number], names))
        return (hard + extra + moved + noise) * characters

    return side(0, 0.0), side(1, generator.normal(gap, suits, size=names)), characters


def coverage(**setting: object) -> float:
    """How often the interval holds the difference, by drawing names and runs."""
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(DRAWS):
        low, high = comparison.difference(*draw(generator, **setting)).interval
        held += low <= 0 <= high
    return held / DRAWS


# the binomial standard deviation of a coverage is 0.005
@pytest.mark.parametrize(
    ("setting", "limit"),
    [
        ({}, 0.97),
        ({"runs": (3, 3)}, 0.97),
        ({"runs": (3, 3), "seed": (0.013, 0.013)}, 0.97),
        ({"runs": (2, 2), "seed": (0.0, 0.009), "suits": 0.02, "own": (0.15, 0.15)}, 0.99),
        ({"runs": (2, 4), "seed": (0.013, 0.0)}, 0.98),
        ({"runs": (1, 3), "seed": (0.0, 0.013), "own": (0.0, 0.06)}, 0.97),
    ],
)
def test_19_of_20_intervals_hold_the_difference(setting: dict, limit: float):
    assert 0.93 <= coverage(**setting) <= limit


@pytest.mark.parametrize(("runs", "coverage"), [(3, 0.872), (10, 0.90)])
def test_skewed_seeds_of_unequal_spread_are_covered_less_often(runs: int, coverage: float):
    """Seeds of an exponential distribution; their spread is ten times as large on one side."""
    generator = np.random.default_rng(1)
    scales = np.array([1.0, 0.1])[:, None, None]
    losses = scales * generator.exponential(size=(2, 20_000, runs))
    sides = [RunVariance(side.var(axis=1, ddof=1) / runs, 0.0, runs - 1) for side in losses]
    variance, dof = comparison.total_variance(np.zeros(20_000), NAMES - 1, sides)
    gap = losses.mean(axis=2)[0] - 1.0 - (losses.mean(axis=2)[1] - 0.1)
    held = np.abs(gap) <= comparison.t_quantile(dof) * np.sqrt(variance)
    assert held.mean() == pytest.approx(coverage, abs=0.01)


def test_single_runs_hold_the_difference_of_recipes_too_rarely():
    assert coverage(seed=(0.013, 0.013)) < 0.8


@cache
def quantiles(dof: int) -> np.ndarray:
    """Evenly spaced quantiles of a variance that is 1 on average."""
    return chi2.ppf((np.arange(DRAWS) + 0.5) / DRAWS, dof) / dof


def estimate(generator: np.random.Generator, variance: float, dof: int) -> np.ndarray:
    """Draw estimates of a variance, in random order."""
    return variance * generator.permutation(quantiles(dof))


def exact_coverage(
    runs: tuple[int, int], seed: tuple[float, float], suits: float, own: tuple[float, float]
) -> float:
    """What `coverage` estimates, far more quickly: variances are drawn instead of names and runs.

    Given these, the difference is normal, and how often the interval holds it is known.
    """
    generator = np.random.default_rng(2)
    spread = 1.1 / NAMES  # variance of a mean over names of different lengths, of one of them
    by_name = [spread * own[side] ** 2 / runs[side] for side in (0, 1)]
    total = [seed[side] ** 2 / runs[side] + by_name[side] for side in (0, 1)]
    names = spread * suits**2 + sum(by_name)
    sides = [
        RunVariance(
            estimate(generator, total[side], runs[side] - 1),
            estimate(generator, by_name[side], (runs[side] - 1) * (NAMES - 1)),
            runs[side] - 1,
        )
        for side in (0, 1)
        if runs[side] > 1 and total[side]
    ]
    variance, dof = comparison.total_variance(
        estimate(generator, names, NAMES - 1), NAMES - 1, sides
    )
    true = spread * suits**2 + sum(total)
    quantile = comparison.t_quantile(dof) * np.sqrt(variance / true)
    return float(np.mean(2 * ndtr(quantile) - 1))


def settings(runs: tuple[int, int]) -> list[dict]:
    """Seeds of one side or both, none to four times as strong as names; these weak and strong."""
    found = []
    for (suits, own), strength in product(
        [(0.1, 0.06), (0.1, 0.15), (0.02, 0.15), (0.02, 0.01)], [0.0, 0.3, 1.0, 2.0, 4.0]
    ):
        seed = strength * math.hypot(suits, own) * math.sqrt(1.1 / NAMES)
        for seeds, owns in [
            ((seed, seed), (own, own)),
            ((seed, seed / 3), (own, own)),
            ((seed, 0.0), (own, own)),
            ((0.0, seed), (own, own)),
            ((seed, 0.0), (own, 0.0)),  # the second model has no seed
            ((0.0, seed), (0.0, own)),
        ]:
            if all(runs[side] > 1 or not (seeds[side] or owns[side]) for side in (0, 1)):
                found.append({"runs": runs, "seed": seeds, "suits": suits, "own": owns})
    return found


@pytest.mark.parametrize("runs", RUNS)
def test_coverage_over_numbers_of_runs_and_strengths_of_seeds(runs: tuple[int, int]):
    limit = {0: 0.97, 1: 0.98, 2: 0.987}[runs.count(2)]
    found = {str(setting): exact_coverage(**setting) for setting in settings(runs)}
    print(f"{runs}: {min(found.values()):.3f} to {max(found.values()):.3f}")
    assert not {key: value for key, value in found.items() if not 0.93 <= value <= limit}


def test_quick_coverage_is_that_of_drawn_names():
    setting = {"runs": (3, 2), "seed": (0.005, 0.01), "suits": 0.05, "own": (0.1, 0.05)}
    assert exact_coverage(**setting) == pytest.approx(coverage(**setting), abs=0.015)


def test_dof_by_hand():
    one, three = np.array([1.0]), np.array([1.0, 1.0, 1.0])
    assert comparison.effective_dof(one, np.array([7.0])) == pytest.approx(7)
    # equal variances of equal degrees of freedom: they add up, as with Welch
    assert comparison.effective_dof(three, np.array([2.0, 2.0, 2.0])) == pytest.approx(6)
    # t is 12.706 and 1.96 for 1 and infinitely many: weights of 21.13 and 2.242
    dof = comparison.effective_dof(np.array([1.0, 1.0]), np.array([1.0, 1e12]))
    assert dof == pytest.approx((21.13 + 2.242) ** 2 / 21.13**2, rel=1e-3)


@pytest.mark.parametrize("gap", [0.0, 0.3])
def test_detectable_difference_does_not_depend_on_the_one_observed(gap: float):
    found = comparison.difference(*draw(np.random.default_rng(2), gap=gap))
    # Student's t of 299 degrees of freedom at 0.975 and 0.8
    assert found.detectable == pytest.approx((1.968 + 0.8427) * math.sqrt(found.variance), rel=1e-3)


def test_detectable_difference_shows_in_four_of_five_draws():
    many = comparison.difference(*draw(np.random.default_rng(4), names=100_000))
    planted = many.detectable * math.sqrt(100_000 / NAMES)
    generator = np.random.default_rng(3)
    shown = 0
    for _ in range(DRAWS):
        low, high = comparison.difference(*draw(generator, gap=planted)).interval
        shown += not low <= 0 <= high
    # the binomial standard deviation is 0.009
    assert shown / DRAWS == pytest.approx(0.8, abs=0.03)


def test_difference_by_hand():
    characters = np.array([2, 2, 6])
    a, b = np.array([[2.0, 4.0, 9.0]]), np.array([[3.0, 3.0, 9.0]])
    found = comparison.difference(a, b, characters)
    assert (found.a, found.b, found.value) == (1.5, 1.5, 0.0)
    assert found.variance == pytest.approx(2 / 100)
    assert found.dof == pytest.approx(2)
    # 4.3027: Student's t of 2 degrees of freedom at 0.975
    assert found.interval[1] == pytest.approx(4.302653 * math.sqrt(0.02))


def test_variance_of_runs_by_hand():
    # two runs, one of which loses 1 more per character on every name: no name suits one more
    characters = np.array([2, 2])
    nll = np.array([[2.0, 4.0], [4.0, 6.0]])
    assert comparison.run_variance(nll, characters) == pytest.approx((0.5 / 2, 0.0, 1))
    # what each gains on one name it loses on the other: the mean loss does not vary
    nll = np.array([[2.0, 4.0], [4.0, 2.0]])
    assert comparison.run_variance(nll, characters) == pytest.approx((0.0, 4 / (2 * 4**2), 1))
    # averages of 1.5 and 2: half of 0.125; of that single names make 4 * 0.5**2 / (2 * 4**2)
    nll = np.array([[2.0, 4.0], [4.0, 4.0]])
    assert comparison.run_variance(nll, characters) == pytest.approx((0.0625, 0.03125, 1))
    # averages of 1.5, 2 and 1.75: a third of 0.0625; what is left of the names is ±1.5, ±0.5 and ±2
    nll = np.array([[2.0, 4.0], [4.0, 4.0], [6.0, 1.0]])
    by_name = 2 * (1.5**2 + 0.5**2 + 2**2) / (3 * 2 * 4**2)
    assert comparison.run_variance(nll, characters) == pytest.approx((0.0625 / 3, by_name, 2))


def test_variance_of_both_sides_by_hand():
    characters = np.array([2, 2])
    a, b = np.array([[2.0, 4.0], [4.0, 4.0]]), np.array([[3.0, 9.0]])
    found = comparison.difference(a, b, characters)
    # differences of means 0 and 5, 2.5 above and below their average
    names = 2 * 2.5**2 / 4**2
    assert found.variance == pytest.approx(names - 0.03125 + 0.0625)


def test_runs_that_agree_add_nothing():
    characters = np.array([3, 5, 4])
    a, b = np.array([[1.0, 2.0, 3.0]]), np.array([[1.1, 2.5, 3.2]])
    once = comparison.difference(a, b, characters)
    assert comparison.difference(np.repeat(a, 3, axis=0), b, characters) == once
    # the mean of three times 0.1 is not exactly 0.1
    same = np.full((3, 40), 1.0)
    found = comparison.difference(same, same, np.full(40, 10))
    assert (found.value, found.variance, found.interval) == (0.0, 0.0, (0.0, 0.0))
