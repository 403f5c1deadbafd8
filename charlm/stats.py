"""Average losses, and how far the choice of names moves them."""

import math
from collections.abc import Iterable

import numpy as np


def average(nll: Iterable[float], characters: np.ndarray) -> float:
    """Return the average negative log-likelihood, nats per character.

    Args:
        nll: of each name, summed over its characters, nats.
        characters: of each name, its end counted as one.
    """
    # fsum is exact, so the order of the names does not matter
    return math.fsum(nll) / int(characters.sum())


def standard_error(nll: np.ndarray, characters: np.ndarray) -> float:
    """Return the standard error of an average, or of an average difference, clustered by name.

    Names are what was sampled, and the characters of one name depend on each other. With r the
    summed deviation of a name's characters from the average, and n the number of all characters,
    it is sqrt(sum(r**2)) / n: the clustered standard error of Miller (2024), arXiv 2411.00640,
    section 2.2, with names as clusters.

    Args:
        nll: (names,) float64, of each unique name, summed over its characters.
        characters: (names,), of each; a name that occurs twice has both added together.
    """
    deviations = nll - average(nll, characters) * characters
    return math.sqrt(math.fsum(deviations**2)) / int(characters.sum())
