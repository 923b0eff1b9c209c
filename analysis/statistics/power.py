"""The power of a plan: the gain that the family's test finds, and how many seeds it takes.

Letters: S seeds, M comparisons of a study.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import nctdtr, stdtrit

from analysis.statistics.significance import ALPHA, FEWEST_PAIRS, TIE, mean_and_sd, sign_patterns

POWER = 0.8  # the probability of a win that is planned for
MOST_SEEDS = 100_000
STUDIES = (50, 200)  # the least and the greatest number of studies that are simulated
STATISTICS = 20_000_000  # the number of statistics that a simulation of more than the least computes
PATTERNS = 1024  # the most patterns of signs
LARGEST_EFFECT = 40.0  # standard deviations; where nothing smaller is found, something else is wrong


def seeds_needed(differences: ArrayLike, comparisons: int = 1) -> int | None:
    """Return how many seeds would show a difference if it were real and as large as observed.

    The power, 80 %, is that of the paired t test at 0.05 over the comparisons, and the seeds are never fewer than the
    six that the sign-flip test needs at all. A spread estimated from few seeds is rough, and so is the answer.

    Args:
        differences: (S,) arm minus reference, S at least 2.
        comparisons: the number of comparisons in the family.

    Returns:
        The seeds, or None if more than 100,000 are needed, as for a mean difference of zero.

    Raises:
        ValueError: fewer than two differences, which have no spread.
    """
    d = np.asarray(differences, dtype=float)
    if d.size < 2:
        raise ValueError(f"a spread needs at least 2 differences, got {d.size}")
    mean, spread = mean_and_sd(d)
    if mean == 0:
        return None
    return seeds_for(abs(mean) / spread if spread > 0 else math.inf, ALPHA / comparisons)


def seeds_for(effect: float, alpha: float = ALPHA) -> int | None:
    """Return the seeds that a mean difference of ``effect`` standard deviations takes; None above 100,000."""
    if t_test_power(MOST_SEEDS, effect, alpha) < POWER:
        return None
    return _first_between(FEWEST_PAIRS - 1, MOST_SEEDS, lambda seeds: t_test_power(seeds, effect, alpha) >= POWER)


def _first_between(low: int, high: int, enough: Callable[[int], bool]) -> int:
    """Return the smallest number above ``low`` that is enough; ``high`` is known to be enough."""
    return low + 1 + bisect_left(range(low + 1, high), True, key=enough)


def t_test_power(pairs: int, effect: float, alpha: float) -> float:
    """Return the power of the two-sided t test of (S,) differences whose mean is ``effect`` standard deviations."""
    shift = effect * math.sqrt(pairs)
    critical = float(stdtrit(pairs - 1, 1 - alpha / 2))
    if shift > critical + 30:
        return 1.0  # out of the range in which scipy's noncentral t is accurate
    return 1 - float(nctdtr(pairs - 1, shift, critical))


@cache
def detectable_effect(tables: int, arms: int, seeds: int) -> float:
    """Return the gain that the family's test finds with 80 % power, in standard deviations of a paired difference.

    The family has so many tables, of so many arms besides the baseline, with so many seeds. One arm is real and all
    others are null, with normal noise and, in each table, a shared baseline. The answer is from a simulation with a
    fixed seed and good to about 5 %. It is infinite below six seeds, which cannot find anything.
    """
    if seeds < FEWEST_PAIRS:
        return math.inf
    studies = _simulated(tables, arms, seeds)
    return smallest_effect(lambda effect: _power(effect, studies) >= POWER)


def smallest_effect(found: Callable[[float], bool]) -> float:
    """Return the smallest effect that is ``found``, in standard deviations, to 0.01."""
    low, high = 0.0, LARGEST_EFFECT
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


@cache
def seeds_to_find_one_sd(tables: int, arms: int) -> int:
    """Return the fewest seeds that find an effect of 1 sd with 80 % power, simulated as :func:`detectable_effect`."""
    return fewest(FEWEST_PAIRS, lambda seeds: _power(1.0, _simulated(tables, arms, seeds)) >= POWER)


def fewest(least: int, enough: Callable[[int], bool]) -> int:
    """Return the smallest number from ``least`` on that is enough."""
    low, high = least - 1, least
    while not enough(high):
        low, high = high, high + max(2, high // 3)
    return _first_between(low, high, enough)


class _Studies(NamedTuple):
    """What does not depend on the effect in N simulated studies, with P patterns of signs."""

    largest: NDArray[np.float64]  # (N, P) the largest statistic of the null comparisons in every pattern
    noise: NDArray[np.float64]  # (N, S) of the real comparison
    signs: NDArray[np.float64]  # (P, S)


def _simulated(tables: int, arms: int, seeds: int) -> _Studies:
    signs = sign_patterns(seeds)
    if len(signs) > PATTERNS:  # the first of a full list have the same signs for the first seeds
        some = np.random.default_rng(0).choice(signs[1:], PATTERNS - 1, replace=False)
        signs = np.concatenate((signs[:1], some))
    comparisons = tables * arms
    studies = int(np.clip(STATISTICS // (comparisons * len(signs)), *STUDIES))
    rng = np.random.default_rng(0)
    largest, noise = np.zeros((studies, len(signs))), np.empty((studies, seeds))
    for study in range(studies):
        runs = rng.normal(0, math.sqrt(0.5), (tables, arms + 1, seeds))
        d = (runs[:, 1:] - runs[:, :1]).reshape(-1, seeds)
        noise[study] = d[0]
        if comparisons > 1:
            squares = seeds * (d[1:] ** 2).sum(axis=1)
            largest[study] = ((signs @ d[1:].T) ** 2 / squares).max(axis=1)
    return _Studies(largest, noise, signs)


def _power(effect: float, studies: _Studies) -> float:
    """Return the share of simulated studies in which the real comparison is a win."""
    d = studies.noise + effect  # (N, S)
    strengths = (d @ studies.signs.T) ** 2 / (d.shape[1] * (d**2).sum(axis=1, keepdims=True))  # (N, P)
    reached = np.maximum(strengths, studies.largest) >= strengths[:, :1] - TIE
    return float(((reached.mean(axis=1) < ALPHA) & (d.mean(axis=1) > 0)).mean())
