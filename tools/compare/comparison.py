"""Is the difference between two sides more than chance? Each side is one run of a model or several.

Chance is in the names that were held out and, with several runs per side, in their seeds.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from charlm import stats

CONFIDENCE, POWER = 0.95, 0.8
WEIGHT_EXPONENT = 1.2  # see effective_dof
Values = np.ndarray | float


class RunVariance(NamedTuple):
    """Variance of the mean loss of several runs that differ in their seeds.

    All fields are 0 for one run, and for runs that agree: no seed was varied. The variances are
    scalars, or arrays of one shape.
    """

    total: Values
    by_name: Values  # the part that comes from names that suit one run more than another
    dof: int  # degrees of freedom


class Difference(NamedTuple):
    """How much more the second of two sides loses than the first, nats per character."""

    a: float
    b: float
    value: float
    variance: float
    dof: float  # degrees of freedom of the variance
    confidence: float = CONFIDENCE  # of the interval

    @property
    def interval(self) -> tuple[float, float]:
        """The confidence interval of Student's t, 95 % unless it is one of several."""
        half = float(t_quantile(self.dof, self.confidence)) * math.sqrt(self.variance)
        return self.value - half, self.value + half

    @property
    def detectable(self) -> float:
        """The difference that shows as significant with a power of 0.8, whatever was observed.

        The minimum detectable effect of Bloom (1995), Evaluation Review 19(5).
        """
        quantile = float(t_quantile(self.dof, self.confidence))
        quantiles = quantile + float(stdtrit(self.dof, POWER))
        return quantiles * math.sqrt(self.variance)


def t_quantile(dof: Values, confidence: float = CONFIDENCE) -> np.ndarray:
    """Return how many standard errors half a confidence interval spans."""
    return np.asarray(stdtrit(dof, (1 + confidence) / 2))


def run_variance(nll: np.ndarray, characters: np.ndarray) -> RunVariance:
    """Return how far the mean loss of several runs varies from one set of runs to another.

    The part by name is in the variance over names already, as in the two-way clustering of
    Cameron, Gelbach & Miller (2011), Journal of Business & Economic Statistics 29(2).

    Args:
        nll: (runs, names) float64, summed over each name's characters.
        characters: (names,).
    """
    runs, total = len(nll), characters.sum()
    if (nll == nll[0]).all():
        return RunVariance(0.0, 0.0, dof=0)
    averages = nll.sum(axis=1) / total
    residuals = nll - nll.mean(axis=0) - np.outer(averages - averages.mean(), characters)
    return RunVariance(
        total=averages.var(ddof=1) / runs,
        by_name=(residuals**2).sum() / (runs * (runs - 1) * total**2),
        dof=runs - 1,
    )


def effective_dof(variances: np.ndarray, dofs: np.ndarray) -> np.ndarray:
    """Return the degrees of freedom of a sum of variances.

    Those of Satterthwaite (1946), Biometrics Bulletin 2(6), and Welch (1947), Biometrika 34, are
    right only if each variance is well known. A side of two runs has one degree of freedom: by
    chance its variance is often near 0 beside that of the names, the sum then seems well known,
    and intervals of 95 % hold the difference in 87 %. So each variance counts here with a weight
    that grows with the t quantile t of its degrees of freedom, as in the approximation of Cochran
    & Cox (1957), Experimental Designs, section 4.14, which itself takes the average of the
    quantiles and covers up to 99.4 %. The exponent of the weight t**1.2 was chosen by simulation:
    95 % intervals then cover 93 to 97 % for three to ten runs per side, 93 to 98 % where a side
    has two, and up to 98.5 % where both have two (tests/test_comparison.py).

    Args:
        variances: (..., terms), not all of them 0.
        dofs: (terms,), of each.

    Returns:
        (...).
    """
    weighted = variances * t_quantile(dofs) ** WEIGHT_EXPONENT
    dof: np.ndarray = weighted.sum(axis=-1) ** 2 / (weighted**2 / dofs).sum(axis=-1)
    return dof


def total_variance(
    names: Values, dof: int, sides: list[RunVariance]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of a difference of two sides, and its degrees of freedom.

    Args:
        names: variance over names of the difference of the sides' mean losses.
        dof: its degrees of freedom.
        sides: variance over the runs of each side.
    """
    varied = [side for side in sides if side.dof]
    over_names = np.maximum(0.0, names - sum(side.by_name for side in varied))
    variances = np.stack([over_names, *(side.total for side in varied)], axis=-1)
    dofs = np.array([dof, *(side.dof for side in varied)])
    variance = variances.sum(axis=-1)
    variances[variance == 0] = 1.0
    return variance, effective_dof(variances, dofs)


def difference(
    a: np.ndarray, b: np.ndarray, characters: np.ndarray, comparisons: int = 1
) -> Difference:
    """Compare the losses of two sides on the same names.

    With one run per side the variance is that over names; with several, that over runs is added.
    The interval assumes that the mean losses of a side's runs are about normally distributed; their
    variance may differ between the sides. If they are skewed like an exponential distribution, and
    one side has ten times the standard deviation of the other, 95 % intervals of three runs per
    side hold the difference in 87 %, of ten in 90 %.

    Args:
        a, b: (runs, names) float64, summed over each name's characters.
        characters: (names,), of each unique name.
        comparisons: how many are made together. The intervals of all of them hold their
            differences at once in 95 % of cases, by the inequality of Bonferroni.
    """
    gap = b.mean(axis=0) - a.mean(axis=0)
    names = stats.standard_error(gap, characters) ** 2
    sides = [run_variance(side, characters) for side in (a, b)]
    variance, dof = total_variance(names, len(characters) - 1, sides)
    return Difference(
        a=stats.average(a.mean(axis=0), characters),
        b=stats.average(b.mean(axis=0), characters),
        value=stats.average(gap, characters),
        variance=float(variance),
        dof=float(dof),
        confidence=1 - (1 - CONFIDENCE) / comparisons,
    )
