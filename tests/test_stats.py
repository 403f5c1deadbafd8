import math

import numpy as np
import pytest

from charlm import stats


def test_average_and_standard_error_by_hand():
    nll, characters = np.array([2.0, 4.0, 9.0]), np.array([2, 2, 6])
    assert stats.average(nll, characters) == 1.5
    # 2 - 3, 4 - 3 and 9 - 9, over ten characters
    assert stats.standard_error(nll, characters) == pytest.approx(math.sqrt(2) / 10)


def test_standard_error_is_that_of_a_bootstrap_over_names():
    generator = np.random.default_rng(1)
    characters = generator.integers(3, 12, size=400)
    # the characters of a name depend on each other: some names are easy throughout
    nll = characters * generator.gamma(4, 0.5, size=400)
    rows = generator.integers(400, size=(4000, 400))
    bootstrap = (nll[rows].sum(axis=1) / characters[rows].sum(axis=1)).std()
    # 4,000 draws estimate a standard deviation to about one part in ninety
    assert stats.standard_error(nll, characters) == pytest.approx(bootstrap, rel=0.04)


def test_equal_names_leave_no_error():
    assert stats.standard_error(np.full(5, 6.0), np.full(5, 3)) == 0
