import numpy as np
import pytest

from stages.fit_mixture import fit


def probabilities(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_weight_by_hand():
    # the likelihood is (w)(w)(1 - w): greatest at two thirds
    assert fit(probabilities(1, 1, 0), probabilities(0, 0, 1)) == pytest.approx(2 / 3, abs=1e-6)
    # log(0.5 + 0.4 w) + log(0.6 - 0.4 w) is greatest where both are equal
    assert fit(probabilities(0.9, 0.2), probabilities(0.5, 0.6)) == pytest.approx(1 / 8, abs=1e-6)


def test_weight_is_the_best_of_a_grid():
    first, second = np.random.default_rng(1).random((2, 500))
    grid = np.linspace(0, 1, 1001)[:, None]
    likelihood = np.log(grid * first + (1 - grid) * second).sum(axis=1)
    best = grid[likelihood.argmax(), 0]
    assert 0.1 < best < 0.9
    assert fit(first, second) == pytest.approx(best, abs=1e-3)


def test_better_model_gets_all_the_weight():
    assert fit(probabilities(0.9, 0.8), probabilities(0.5, 0.5)) == pytest.approx(1, abs=1e-6)


def test_weight_is_a_half_if_there_is_nothing_to_fit():
    assert fit(probabilities(), probabilities()) == 0.5
