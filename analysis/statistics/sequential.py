"""Seeds that stop when a question is decided: evidence that may be looked at after every seed.

Letters: S seeds in the order in which they were run, M comparisons, d (M, S) paired differences.

The evidence is the wealth of a bettor who starts with 1 and bets on the sign of every difference, given its size and
the differences before it. Where an arm changes nothing the sign is fair, so the wealth has mean 1 whenever one looks,
and ever reaches 20 with probability at most 1/20 (Ville's inequality). Sources: Ramdas, Grünwald, Vovk and Shafer,
"Game-theoretic statistics and safe anytime-valid inference" (2023, arXiv:2210.01948); de la Peña, "A general class of
exponential inequalities for martingales and ratios" (1999), for symmetric differences; Vovk and Wang, "E-values:
calibration, combination and applications" (2021, arXiv:1912.06116), for merging by the mean.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.statistics.significance import ALPHA
from mixlab.spec.study import FIRST_ROUND

DECISIVE = 1 / ALPHA  # wealth
# The means, in standard deviations, for which the bettor is prepared. One below 0.4 takes more than fifty seeds in any
# case; to be prepared for it as well would cost every other one a seed.
EFFECTS = (0.8, 2.0)
FIRST_LOOK = FIRST_ROUND  # the seeds before which nothing is decided; even a certain effect takes more
RATIOS = (0.25, 8.0)  # the least and the greatest size of differences, in those of their table, that counts
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)  # for an integral over a normal distribution

Side = Literal["both", "above", "below"]


def e_value(differences: ArrayLike, *, delta: float = 0.0, side: Side = "both") -> float:
    """Return the evidence against a comparison's null hypothesis, the wealth after its last seed; 1 without any.

    Args:
        differences: (S,) in the order of the seeds; NaN for a seed that is missing.
        delta: the mean under the null hypothesis.
        side: bet that the mean is ``above`` delta, ``below`` it, or half on each.
    """
    found = wealth(np.atleast_2d(np.asarray(differences, dtype=float)), delta=delta, side=side)
    return float(found[0, -1]) if found.size else 1.0


@np.errstate(over="ignore")
def wealth(differences: ArrayLike, *, delta: float = 0.0, side: Side = "both") -> NDArray[np.float64]:
    """Return the wealth (M, S) of every comparison after every seed; arguments as for :func:`e_value`, by comparison.

    Against an effect of mu standard deviations the stake that grows fastest is tanh(mu |d| / sigma). Sigma is what the
    root mean square of the sizes so far would make it if that were the effect. The wealth is the mean over several mu,
    and over both directions unless ``side`` says one. One direction alone is fair or unfavourable for every mean on the
    other side of delta if the differences are symmetric about their mean and most likely near it. Where a comparison
    lacks a seed (NaN), its wealth stays as it is. After a thousand seeds it may be infinite, or 0.
    """
    d = np.asarray(differences, dtype=float) - delta
    known = np.isfinite(d)
    sizes = np.where(known, np.abs(d), 0.0)
    mean_square = np.cumsum(sizes**2, axis=1) / np.maximum(1, np.cumsum(known, axis=1))
    relative = np.divide(sizes, np.sqrt(mean_square), out=np.zeros_like(sizes), where=mean_square > 0)
    signs = {"above": (1.0,), "below": (-1.0,), "both": (1.0, -1.0)}[side]
    total = np.zeros_like(sizes)
    for mu in EFFECTS:
        stakes = np.copysign(np.tanh(mu * np.sqrt(1 + mu**2) * relative), d)
        for sign in signs:
            total += np.cumprod(1 + sign * stakes, axis=1)
    return total / (len(EFFECTS) * len(signs))


@cache
def fewest_to_claim() -> int:
    """Return the number of equal differences that decides the one comparison of a study."""
    found = wealth(np.ones((1, 99)))[0]
    return int((found >= DECISIVE).argmax()) + 1


def family_e(e: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the evidence (M,) for every comparison, corrected for all by closed testing with the mean of e-values.

    It is the smallest mean of the comparison's own e-value and any set of the others; that set is made of the k
    smallest, so only k must be tried. The weights of the mean (M,) are above 0, and equal if they are not given.
    """
    values = np.asarray(e, dtype=float)
    share = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    order = np.argsort(values, kind="stable")
    smaller, lighter = _sums(values[order] * share[order]), _sums(share[order])  # over the k smallest, for each k
    corrected = np.empty_like(values)
    for rank, m in enumerate(order):  # larger ones only raise the mean
        total = values[m] * share[m] + smaller[: rank + 1]
        corrected[m] = (total / (share[m] + lighter[: rank + 1])).min()
    return corrected


def family_wealth(differences: ArrayLike, *, tables: Sequence[Any] | None = None) -> NDArray[np.float64]:
    """Return the corrected evidence (M, S) of every comparison after every seed; a missing seed adds nothing."""
    by_seed, weights = wealth(differences), shares(differences, tables)
    return np.column_stack([family_e(by_seed[:, seed], weights) for seed in range(by_seed.shape[1])])


def shares(differences: ArrayLike, tables: Sequence[Any] | None = None, delta: float = 0.0) -> NDArray[np.float64]:
    """Return the weight (M,) of every comparison in the mean over a family.

    A comparison whose first differences stand out, whatever their signs, is more likely to be real, and gets a larger
    share of the evidence: the cube of its mean square over the median of its table, between 1/4 and 8. To each square
    is added that of the distance from the median of the table's differences at the same seed, among which the reference
    has one of 0: noise of the reference, which moves all of them alike, cancels there. Sizes and distances stay as they
    are when all signs of a seed are turned, so given them the signs are still fair under the null hypothesis of
    :func:`analysis.statistics.significance.family_p`, and the weighted mean starts at 1 and remains a fair game.
    Nothing is decided before those seeds are over.

    Args:
        differences: (M, S), of which the first ``FIRST_LOOK`` seeds count.
        tables: (M,) what comparisons with one noise have in common; all do if it is not given.
        delta: the mean under the null hypothesis.
    """
    first = np.asarray(differences, dtype=float)[:, :FIRST_LOOK] - delta
    weights = np.ones(len(first))
    for mine in _rows_of_tables(len(first), tables):
        weights[mine] = weights_of_tables(first[mine])
    return weights


def weights_of_tables(first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights (..., M) of the comparisons of each table, as :func:`shares`, from their first differences."""
    known = np.isfinite(first)
    with_reference = np.concatenate((first, np.zeros_like(first[..., :1, :])), axis=-2)
    middle = np.nanmedian(with_reference, axis=-2, keepdims=True)
    squares = np.where(known, first**2 + (first - middle) ** 2, 0.0)
    sizes = squares.sum(axis=-1) / np.maximum(1, known.sum(axis=-1))
    if not (sizes > 0).any():
        return np.ones_like(sizes)
    usual = np.nanmedian(np.where(sizes > 0, sizes, np.nan), axis=-1, keepdims=True)
    return np.clip(np.where(sizes > 0, sizes / usual, 1.0), *RATIOS) ** 3


@np.errstate(divide="ignore")
def prospects(
    differences: ArrayLike,
    budget: int,
    tables: Sequence[Any] | None = None,
    *,
    delta: float = 0.0,
    side: Side = "both",
) -> NDArray[np.bool_]:
    """Return for every comparison (M,) whether more seeds, up to a budget, may still decide it.

    They may if its wealth would reach what its family asks for with an effect one standard error larger than it is so
    far, in terms of its own spread or, if that is smaller, of its table's. Each comparison is judged by the seeds up to
    its own last one, so that one given up remains so. A comparison whose runs have all failed has no prospects either.
    Giving up claims nothing and cannot raise the share of false claims.

    Args:
        differences: (M, S), NaN where a comparison lacks a seed.
        budget: the total number of seeds.
        tables: as for :func:`shares`.
        delta: the mean under the null hypothesis that is to be decided, ``side`` as for :func:`e_value`.
    """
    d = np.asarray(differences, dtype=float) - delta
    by_seed, weights = wealth(d, side=side), shares(d, tables)
    of_tables = np.full(len(d), math.inf)
    for mine in _rows_of_tables(len(d), tables):
        of_tables[mine] = _common_spread(d[mine])
    found = np.ones(len(d), dtype=bool)
    for m, row in enumerate(d):
        known = np.flatnonzero(np.isfinite(row))
        if len(known) < FIRST_LOOK:
            found[m] = len(known) > 0 or d.shape[1] < FIRST_LOOK
            continue
        mean, spread = row[known].mean(), min(row[known].std(ddof=1), of_tables[m])
        mean = {"both": abs(mean), "above": mean, "below": -mean}[side]
        certain = math.inf if mean > 0 else 0.0
        effect = mean / spread + len(known) ** -0.5 if spread > 0 else certain
        now = by_seed[:, known[-1]]
        reached = np.log(now[m]) + (budget - len(known)) * growth(effect)
        found[m] = reached >= np.log(_asked_for(m, now, weights))
    return found


def _rows_of_tables(rows: int, tables: Sequence[Any] | None) -> list[NDArray[np.intp]]:
    """Return the rows of each table."""
    labels = [None] * rows if tables is None else list(tables)
    return [np.array([m for m in range(rows) if labels[m] == table]) for table in dict.fromkeys(labels)]


def _common_spread(differences: NDArray[np.float64]) -> float:
    """Return the standard deviation (M, S) -> () that comparisons have in common; infinite if none has two seeds."""
    known = np.isfinite(differences)
    counts = known.sum(axis=1)
    means = np.where(known, differences, 0.0).sum(axis=1) / np.maximum(1, counts)
    squares = np.where(known, differences - means[:, None], 0.0) ** 2
    degrees = np.maximum(0, counts - 1).sum()
    return math.sqrt(squares.sum() / degrees) if degrees else math.inf


def growth(effects: ArrayLike) -> NDArray[np.float64]:
    """Return the mean logarithm of the factor by which a seed multiplies a bet on each true effect; 0 for NaN.

    An effect is the mean of normal differences, in standard deviations.
    """
    effect = np.clip(np.nan_to_num(effects), 0.0, 6.0)[..., np.newaxis]  # with 6, every seed doubles it already
    stakes = np.tanh(effect * (NODES + effect))
    return np.log(np.maximum(1 + stakes, 1e-12)) @ WEIGHTS / WEIGHTS.sum()


def _asked_for(m: int, e: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the wealth at which comparison m is decided while the e-values (M,) of all others stay as they are."""
    others = [index for index in np.argsort(e, kind="stable") if index != m]
    smaller, lighter = _sums(e[others] * weights[others]), _sums(weights[others])
    return float(((DECISIVE * (weights[m] + lighter) - smaller) / weights[m]).max())


def _sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums (M + 1,) of the first 0, 1, ..., M values."""
    return np.concatenate(([0.0], np.cumsum(values)))
