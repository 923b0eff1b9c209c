"""Seeds that stop when a question is decided: evidence that may be looked at after every seed.

Letters: S seeds in the order in which they were run, M comparisons, d (M, S) paired differences.

The evidence is the wealth of a bettor who starts with 1 and bets on the sign of every difference, given its size and
the differences before it. Where an arm changes nothing the sign is fair, so the wealth has mean 1 whenever one looks,
and ever reaches 20 with probability at most 1/20 (Ville's inequality). Sources: Ramdas, Grünwald, Vovk and Shafer,
"Game-theoretic statistics and safe anytime-valid inference" (2023, arXiv:2210.01948); de la Peña, "A general class of
exponential inequalities for martingales and ratios" (1999), for symmetric differences; Vovk and Wang, "E-values:
calibration, combination and applications" (2021, arXiv:1912.06116), for merging by the mean.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.statistics.significance import ALPHA

DECISIVE = 1 / ALPHA  # wealth
EFFECTS = (0.25, 0.5, 1.0, 2.0, 4.0)  # the means, in standard deviations, for which the bettor is prepared
LEAST_TO_GIVE_UP = 4  # the number of seeds below which a spread is too rough to give up by

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


def wealth(differences: ArrayLike, *, delta: float = 0.0, side: Side = "both") -> NDArray[np.float64]:
    """Return the wealth (M, S) of every comparison after every seed.

    Against an effect of mu standard deviations the stake that grows fastest is tanh(mu |d| / sigma). Sigma is what the
    root mean square of the sizes so far would make it if that were the effect. The wealth is the mean over several mu,
    and over both directions unless ``side`` says one. One direction alone is fair or unfavourable for every mean on the
    other side of delta if the differences are symmetric about their mean and most likely near it.

    Args:
        differences: (M, S), NaN where a comparison lacks a seed: its wealth stays as it is.
        delta: as for :func:`e_value`.
        side: as for :func:`e_value`.
    """
    d = np.asarray(differences, dtype=float) - delta
    known = np.isfinite(d)
    sizes = np.where(known, np.abs(d), 0.0)
    mean_square = np.cumsum(sizes**2, axis=1) / np.maximum(1, np.cumsum(known, axis=1))
    scaled = np.divide(sizes, np.sqrt(mean_square), out=np.zeros_like(sizes), where=mean_square > 0)
    signs = {"above": (1.0,), "below": (-1.0,), "both": (1.0, -1.0)}[side]
    total = np.zeros_like(sizes)
    for mu in EFFECTS:
        stakes = np.tanh(mu * np.sqrt(1 + mu**2) * scaled) * np.sign(np.where(known, d, 0.0))
        for sign in signs:
            total += np.cumprod(1 + sign * stakes, axis=1)
    return total / (len(EFFECTS) * len(signs))


def family_e(e: ArrayLike) -> NDArray[np.float64]:
    """Return the evidence (M,) for every comparison, corrected for all by closed testing with the mean of e-values.

    It is the smallest mean of the comparison's own e-value and any set of the others; that set is made of the k
    smallest, so only k must be tried.

    Args:
        e: (M,) e-values at one moment.
    """
    values = np.asarray(e, dtype=float)
    order = np.argsort(values, kind="stable")
    smaller = np.concatenate(([0.0], np.cumsum(values[order])))  # sums of the k smallest
    counts = np.arange(1, len(values) + 1)
    corrected = np.empty_like(values)
    for rank, m in enumerate(order):  # larger ones only raise the mean
        corrected[m] = ((values[m] + smaller[: rank + 1]) / counts[: rank + 1]).min()
    return corrected


def family_wealth(differences: ArrayLike, *, delta: float = 0.0, side: Side = "both") -> NDArray[np.float64]:
    """Return the corrected evidence (M, S) of every comparison after every seed; a missing seed adds nothing."""
    by_seed = wealth(differences, delta=delta, side=side)
    return np.column_stack([family_e(by_seed[:, seed]) for seed in range(by_seed.shape[1])])


def prospects(differences: ArrayLike, budget: int) -> NDArray[np.bool_]:
    """Return for every comparison (M,) whether more seeds, up to a budget, may still decide it.

    They may if its wealth would reach what its family asks for with an effect one standard error larger than it is so
    far. Each comparison is judged by the seeds up to its own last one, so that one given up remains so. A comparison
    whose runs have all failed has no prospects either. Giving up claims nothing and cannot raise the share of false
    claims.

    Args:
        differences: (M, S), NaN where a comparison lacks a seed.
        budget: the total number of seeds.
    """
    d = np.asarray(differences, dtype=float)
    by_seed = wealth(d)
    found = np.ones(len(d), dtype=bool)
    for m, row in enumerate(d):
        known = np.flatnonzero(np.isfinite(row))
        if len(known) < LEAST_TO_GIVE_UP:
            found[m] = len(known) > 0 or d.shape[1] < LEAST_TO_GIVE_UP
            continue
        mean, spread = abs(row[known].mean()), row[known].std(ddof=1)
        effect = mean / spread + len(known) ** -0.5 if spread > 0 else math.inf if mean > 0 else 0.0
        now = by_seed[:, known[-1]]
        if not family_e(now)[m] >= DECISIVE:
            reached = np.log(now[m]) + (budget - len(known)) * growth(effect)
            found[m] = reached >= np.log(_asked_for(now))
    return found


def growth(effect: float) -> float:
    """Return the mean logarithm of the factor by which a seed multiplies a bet on the true effect; 0 for NaN.

    Args:
        effect: mean of normal differences, in standard deviations.
    """
    if not effect > 0:
        return 0.0
    effect = min(effect, 6.0)  # every seed doubles it already
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    values = nodes + effect
    stakes = np.tanh(effect * np.abs(values)) * np.sign(values)
    return float(weights @ np.log(np.maximum(1 + stakes, 1e-12)) / weights.sum())


def _asked_for(e: NDArray[np.float64]) -> float:
    """Return the wealth at which a comparison is decided while all e-values (M,) of its family stay as they are."""
    counts = np.arange(len(e))  # the number of others, the smallest first
    return float(max(DECISIVE, (DECISIVE * (counts + 1) - np.concatenate(([0.0], np.cumsum(np.sort(e))[:-1]))).max()))
