"""What a plan can find: the power of the family's test, and how many seeds it takes.

Letters: S seeds, M comparisons of a study.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.significance import ALPHA, FEWEST_PAIRS

POWER = 0.8
MOST_SEEDS = 100_000


def seeds_needed(
    differences: ArrayLike, power: float = POWER, alpha: float = ALPHA, comparisons: int = 1, gain: float | None = None
) -> int | None:
    """Return how many seeds would show a difference, were it real and as large as observed.

    The power is that of the paired t test at ``alpha / comparisons``, and the seeds are never fewer than the six that
    the sign-flip test needs at all. A spread estimated from few seeds is rough, and so is the answer.

    Args:
        differences: (S,) arm minus reference, S at least 2.
        power: the wanted probability of showing it.
        alpha: the level of the whole family.
        comparisons: how many the family has.
        gain: the difference to plan for, in the unit of the differences; by default the observed mean.

    Returns:
        The seeds, or None if more than 100,000 are needed, as for a mean difference of zero.

    Raises:
        ValueError: fewer than two differences, which have no spread.
    """
    d = np.asarray(differences, dtype=float)
    if d.size < 2:
        raise ValueError(f"a spread needs at least 2 differences, got {d.size}")
    wanted = abs(float(d.mean()) if gain is None else gain)
    if wanted == 0:
        return None
    return seeds_for(wanted / float(d.std(ddof=1)) if d.std(ddof=1) > 0 else math.inf, power, alpha / comparisons)


def seeds_for(effect: float, power: float = POWER, alpha: float = ALPHA) -> int | None:
    """Return the seeds that a mean difference of ``effect`` standard deviations takes; None above 100,000."""
    if t_test_power(MOST_SEEDS, effect, alpha) < power:
        return None
    low, high = FEWEST_PAIRS - 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if t_test_power(middle, effect, alpha) >= power else (middle, high)
    return high


def t_test_power(pairs: int, effect: float, alpha: float) -> float:
    """Return the power of the two-sided t test of (S,) differences whose mean is ``effect`` standard deviations."""
    shift = effect * math.sqrt(pairs)
    critical = float(stats.t.ppf(1 - alpha / 2, pairs - 1))
    if shift > critical + 30:
        return 1.0  # out of the range in which scipy's noncentral t is accurate
    return float(stats.nct.sf(critical, pairs - 1, shift))
