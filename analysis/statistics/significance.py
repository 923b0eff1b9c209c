"""Intervals, exact tests, and one error rate for a whole study: is an arm better than its reference?

Letters: S seeds, M comparisons of a study, d (M, S) the paired differences: arm minus its reference, same table, same
seed.

A **win** is a gain in the good direction whose :func:`family_p` is below 0.05. The sign-flip tests assume only that a
difference is as likely to be d as -d when the arm changes nothing, which running both arms from the same seed provides.
With S seeds no p can be below 2 / 2^S, so five seeds (0.0625) can never decide anything, and six (0.031) can decide a
study of any number of comparisons.

Sources: step-down max-T is from Westfall and Young, "Resampling-Based Multiple Testing" (1993), and Romano and Wolf,
"Exact and Approximate Stepdown Methods for Multiple Hypothesis Testing" (JASA 2005).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

ALPHA = 0.05
FEWEST_PAIRS = 6  # 2 / 2^6 is the first that is below 0.05
EXACT_UP_TO = 14  # seeds; half of their 2^14 patterns are still fewer than those drawn beyond
RESAMPLES = 9_999  # patterns that are drawn, besides the identity
CHUNK = 2**20  # statistics held at once, 8 MB each
TIE = 1e-10  # on the scale of _strengths, from 0 to 1: tied sums may differ in the last bits


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval, in the unit of the values."""

    mean: float
    low: float
    high: float


def mean_interval(values: ArrayLike) -> Interval:
    """Return Student's t interval, 95 %, of the mean of values (S,); of paired differences it is the paired t interval.

    With one value the ends are NaN, with none the mean is too. They are NaN as well where fewer than six values are all
    equal but for rounding: they cannot tell a spread, and an interval without width would claim certainty.
    """
    pairs = np.size(values)
    mean, spread = mean_and_sd(values)
    able = pairs >= FEWEST_PAIRS or spread > 1e-9 * abs(mean)
    half = float(stdtrit(pairs - 1, 1 - ALPHA / 2)) * spread / math.sqrt(pairs) if able else math.nan
    return Interval(mean, mean - half, mean + half)


def mean_and_sd(values: ArrayLike) -> tuple[float, float]:
    """Return the mean of values (N,) and their standard deviation; NaN for what takes more of them."""
    x = np.asarray(values, dtype=float)
    return float(x.mean()) if x.size else math.nan, float(x.std(ddof=1)) if x.size > 1 else math.nan


def sign_flip_p(differences: ArrayLike) -> float:
    """Return the two-sided p of the paired sign-flip test of one comparison by itself.

    It is the share of the 2^S patterns of signs of the differences (S,) whose sum is at least as far from 0 as that of
    the data, counted over the patterns by which ``family_p`` flips as many seeds, so that a correction never lowers it.
    Without any difference, or with one that is not finite, p is NaN.
    """
    d = np.asarray(differences, dtype=float)
    if d.size == 0 or not np.isfinite(d).all():
        return math.nan
    sums = sign_patterns(d.size) @ d
    # Patterns that tie with the observed one may differ from it in the last bit.
    rounding = 1e-9 * np.abs(d).sum()
    return float(np.mean(np.abs(sums) >= abs(d.sum()) - rounding))


def family_p(differences: ArrayLike, *, one_sided: bool = False) -> NDArray[np.float64]:
    """Return the p of every comparison of a study, corrected for all of them by step-down max-T.

    The statistic is the studentised mean, computed anew for every pattern of signs. A pattern is applied to all
    comparisons of a seed at once, so that whatever they share (a baseline, a network, the seed) stays shared. The p of
    the k-th largest statistic is the share of patterns in which the largest of the statistics from the k-th on is at
    least as large, and never below the p of the one before it.

    Args:
        differences: (M, S), NaN where a comparison lacks a seed. Where all are equal and not zero, the statistic is
            infinite. Patterns that tie with the data count as reaching it.
        one_sided: ask only whether a mean is above zero; by default, whether it differs from zero.

    Returns:
        (M,) p; NaN for a comparison without any pair. All 2^S patterns are counted up to 14 seeds; beyond, 10,000 drawn
        with a fixed seed, the identity among them. A comparison of fewer than 6 pairs is not counted against the
        others, which would otherwise lose everything to an arm that has hardly begun.

    Raises:
        ValueError: ``differences`` is not a matrix.
    """
    d = np.asarray(differences, dtype=float)
    if d.ndim != 2:
        raise ValueError(f"differences must be (comparisons, seeds), got the shape {d.shape}")
    pairs = np.isfinite(d).sum(axis=1)
    p = np.full(len(d), math.nan)
    if ((pairs > 0) & (pairs < FEWEST_PAIRS)).any():
        p[pairs > 0] = _step_down(d[pairs > 0], one_sided)
    if (pairs >= FEWEST_PAIRS).any():
        p[pairs >= FEWEST_PAIRS] = _step_down(d[pairs >= FEWEST_PAIRS], one_sided)
    return p


def sign_patterns(seeds: int) -> NDArray[np.float64]:
    """Return the patterns (P, S) of signs -1.0 and 1.0 by which a study's seeds are flipped, the identity first.

    Of all 2^S only the half with a positive first sign is listed: the opposite of a pattern has the opposite statistic.
    Beyond 14 seeds the patterns are 10,000 drawn with a fixed seed.
    """
    if seeds > EXACT_UP_TO:
        drawn = 1 - 2.0 * np.random.default_rng(0).integers(0, 2, (RESAMPLES, seeds))
        return np.concatenate((np.ones((1, seeds)), drawn))
    numbers = np.arange(2 ** (seeds - 1))
    return (1 - 2 * (numbers[:, None] >> np.arange(seeds) & 1)[:, ::-1]).astype(np.float64)


def _step_down(d: NDArray[np.float64], one_sided: bool) -> NDArray[np.float64]:
    """Return the corrected p (M,) of differences (M, S), every comparison having at least one pair."""
    d = d[:, np.isfinite(d).any(axis=0)]
    patterns = sign_patterns(d.shape[1])
    if one_sided and d.shape[1] <= EXACT_UP_TO:
        patterns = np.concatenate((patterns, -patterns))
    observed = _strengths(d, patterns[:1], one_sided)[0]  # (M,)
    order = np.argsort(-observed)
    d, observed = d[order], observed[order]
    reached = np.zeros(len(d))
    rows = max(1, CHUNK // len(d))
    for first in range(0, len(patterns), rows):
        strengths = _strengths(d, patterns[first : first + rows], one_sided)
        largest = np.maximum.accumulate(strengths[:, ::-1], axis=1)[:, ::-1]  # from the k-th comparison on
        reached += (largest >= observed - TIE).sum(axis=0)
    p = np.empty(len(d))
    p[order] = np.maximum.accumulate(reached / len(patterns))
    return p


def _strengths(d: NDArray[np.float64], patterns: NDArray[np.float64], one_sided: bool) -> NDArray[np.float64]:
    """Return t^2 / (t^2 + S - 1), 1 for an infinite t, of differences (M, S) under patterns of signs (P, S): (P, M).

    It rises with |t|, and has the sign of t if ``one_sided``. With n pairs and z = (sum of d)^2 / (n times the sum of
    d^2), which lies between 0 and 1, t^2 is (n - 1) z / (1 - z). Flipping signs leaves the sum of squares, so one
    product of matrices gives every t.
    """
    pairs = np.isfinite(d).sum(axis=1)
    filled = np.where(np.isfinite(d), d, 0.0)
    squares = pairs * (filled**2).sum(axis=1)
    sums = patterns @ filled.T
    z = sums**2 / np.where(squares > 0, squares, 1.0)
    share = (pairs - 1) / max(1, d.shape[1] - 1)
    if not (share == 1).all():
        above, rest = share * z, 1 - z
        z = np.divide(above, above + rest, out=np.ones_like(z), where=above + rest > 0)
    return np.copysign(z, sums) if one_sided else z


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p (M,) corrected for several comparisons by Holm's step-down method (1979), at most 1.

    A corrected p is below alpha for any true null hypothesis with probability at most alpha. NaN, where no comparison
    was possible, stays NaN and is not counted.
    """
    raw = np.asarray(p, dtype=float)
    corrected = np.full(raw.shape, math.nan)
    order = np.argsort(raw)[: int(np.isfinite(raw).sum())]  # NaN sorts last
    steps = raw[order] * np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def probability_of_beating(x: ArrayLike, y: ArrayLike) -> float:
    """Return P(X > Y) for random runs of an arm (N,) and its reference (K,); ties count half, and no run gives NaN."""
    a, b = np.asarray(x, dtype=float)[:, None], np.asarray(y, dtype=float)[None, :]
    return float(np.mean((a > b) + 0.5 * (a == b))) if a.size and b.size else math.nan


def smallest_p(pairs: int) -> float:
    """Return the smallest two-sided p that a sign-flip test can give with so many pairs: 2 / 2^S."""
    return 2.0 / 2.0**pairs
