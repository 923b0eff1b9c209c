"""Is an arm better than the baseline? Intervals, exact tests, correction for many arms, and how many seeds it takes.

Letters: N pairs (seeds that both arms have), M comparisons (arms against the baseline).

The decision is :func:`is_win`: a gain above zero whose exact sign-flip p, corrected by Holm's method (1979), is below
0.05. The sign-flip test assumes only that a pair's difference is as likely to be d as -d when the arm changes nothing,
which running both arms from the same seed provides. With N pairs it cannot give a p below 2 / 2^N, so three seeds
(0.25) can never be significant, whatever the gain.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

ALPHA = 0.05
EXACT_UP_TO = 20  # pairs; 2^20 sums take 8 MB
EXACT_SPLITS = 100_000  # ways to split unpaired samples
RESAMPLES = 9_999  # random patterns, where there are more than that
MOST_SEEDS = 100_000


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval, in the unit of the values."""

    mean: float
    low: float
    high: float


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Student's t interval of a mean; given paired differences, the paired t interval.

    Args:
        values: (N,) differences of the pairs. With one the ends are NaN, with none the mean too.
        confidence: the share of such intervals that hold the true mean.
    """
    x = np.asarray(values, dtype=float)
    if x.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, math.nan, math.nan)
    half = float(stats.t.ppf((1 + confidence) / 2, x.size - 1) * x.std(ddof=1) / math.sqrt(x.size))
    return Interval(mean, mean - half, mean + half)


def sign_flip_p(differences: ArrayLike) -> float:
    """Two-sided p of the paired sign-flip test: the share of the 2^N sign patterns at least as far from 0 as observed.

    Args:
        differences: (N,) arm minus baseline, one a seed. Without any, p is NaN.

    Returns:
        Exact up to 20 pairs; beyond, from 9,999 random patterns with a fixed seed, so that a table is reproducible.
    """
    d = np.asarray(differences, dtype=float)
    if d.size == 0:
        return math.nan
    if d.size > EXACT_UP_TO:
        test = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=RESAMPLES, batch=1000, rng=np.random.default_rng(0)
        )
        return float(test.pvalue)
    sums = np.zeros(1)
    for size in np.abs(d):
        sums = np.concatenate((sums + size, sums - size))  # (2^n,)
    # Patterns that tie with the observed one may differ from it in the last bit.
    rounding = 1e-9 * np.abs(d).sum()
    return float(np.mean(np.abs(sums) >= abs(d.sum()) - rounding))


def permutation_p(x: ArrayLike, y: ArrayLike) -> float:
    """Two-sided permutation p of a difference in means between unpaired samples.

    Args:
        x: (N,) values of one arm.
        y: (K,) values of the other. If either is empty, p is NaN.

    Returns:
        Exact while there are at most 100,000 splits; beyond, from 9,999 random splits with a fixed seed.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if a.size == 0 or b.size == 0:
        return math.nan
    pooled = np.concatenate((a, b))
    splits = math.comb(pooled.size, a.size)
    if splits <= EXACT_SPLITS:
        chosen = np.array(list(itertools.combinations(range(pooled.size), a.size)))  # (splits, N)
    else:
        rows = np.tile(np.arange(pooled.size), (RESAMPLES, 1))
        chosen = np.random.default_rng(0).permuted(rows, axis=1)[:, : a.size]
    first = pooled[chosen].sum(axis=1)
    distances = np.abs(first / a.size - (pooled.sum() - first) / b.size)
    rounding = 1e-9 * np.abs(pooled).max()
    extreme = int((distances >= abs(a.mean() - b.mean()) - rounding).sum())
    return extreme / splits if splits <= EXACT_SPLITS else (extreme + 1) / (RESAMPLES + 1)


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """p corrected for several comparisons by Holm's step-down method (1979).

    Args:
        p: (M,) uncorrected; NaN (no comparison was possible) stays NaN and is not counted.

    Returns:
        (M,) corrected, at most 1; below alpha for any true null hypothesis with probability at most alpha.
    """
    raw = np.asarray(p, dtype=float)
    corrected = np.full(raw.shape, math.nan)
    order = np.argsort(raw)[: int(np.isfinite(raw).sum())]  # NaN sorts last
    steps = raw[order] * np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def is_win(p_holm: float, gain: float, *, higher_is_better: bool = True) -> bool:
    """Whether a gain is claimed: in the good direction, and its corrected p is below 0.05. NaN is never a win."""
    return bool(p_holm < ALPHA and (gain > 0 if higher_is_better else gain < 0))


def probability_of_beating(x: ArrayLike, y: ArrayLike) -> float:
    """P(X > Y) for one run of each arm drawn at random, ties counting half; NaN if either is empty.

    Args:
        x: (N,) values of the arm.
        y: (K,) values of the baseline.
    """
    a, b = np.asarray(x, dtype=float)[:, None], np.asarray(y, dtype=float)[None, :]
    return float(np.mean((a > b) + 0.5 * (a == b))) if a.size and b.size else math.nan


def smallest_p(pairs: int) -> float:
    """The smallest two-sided p that the sign-flip test can give with so many pairs: 2 / 2^N."""
    return min(1.0, 2.0 / 2.0**pairs)


def pairs_to_reach(comparisons: int, alpha: float = ALPHA) -> int:
    """The fewest pairs with which one arm among so many can be significant after Holm's correction."""
    return next(n for n in range(1, 1000) if smallest_p(n) * comparisons < alpha)


def seeds_needed(
    differences: ArrayLike, power: float = 0.8, alpha: float = ALPHA, comparisons: int = 1, gain: float | None = None
) -> int | None:
    """How many seeds would show a difference, were it real and as large as observed.

    The power is that of the paired t test at ``alpha / comparisons`` (the hardest step of Holm), and never fewer seeds
    than the sign-flip test needs at all. A spread estimated from few seeds is rough, and so is the answer.

    Args:
        differences: (N,) arm minus baseline, N at least 2.
        power: the wanted probability of showing it.
        alpha: the level of the whole table.
        comparisons: arms compared with the baseline.
        gain: the difference to plan for, in the unit of the differences; by default the observed mean.

    Returns:
        Seeds, or None if more than 100,000 are needed, e.g. because the mean difference is zero.

    Raises:
        ValueError: fewer than two differences, which have no spread.
    """
    d = np.asarray(differences, dtype=float)
    if d.size < 2:
        raise ValueError(f"a spread needs at least 2 differences, got {d.size}")
    wanted = abs(float(d.mean()) if gain is None else gain)
    fewest = pairs_to_reach(comparisons, alpha)
    if wanted == 0:
        return None
    effect = wanted / float(d.std(ddof=1)) if d.std(ddof=1) > 0 else math.inf
    if _power(MOST_SEEDS, effect, alpha / comparisons) < power:
        return None
    low, high = fewest - 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, effect, alpha / comparisons) >= power else (middle, high)
    return high


def _power(pairs: int, effect: float, alpha: float) -> float:
    """Power of the two-sided t test of (N,) differences whose mean is ``effect`` standard deviations."""
    shift = effect * math.sqrt(pairs)
    critical = float(stats.t.ppf(1 - alpha / 2, pairs - 1))
    if shift > critical + 30:
        return 1.0  # out of the range in which scipy's noncentral t is accurate
    return float(stats.nct.sf(critical, pairs - 1, shift))
