"""The verdict on every comparison of a study, in one word or a few.

Letters: S seeds, M comparisons, d (M, S) paired differences, NaN where a comparison lacks a seed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.sequential import DECISIVE, family_e, prospects, shares, wealth
from analysis.statistics.significance import ALPHA, FEWEST_PAIRS, family_p
from mixlab.spec.study import UNDECIDED

WIN = "win"
WORSE = "worse"
DIFFERS = "differs"  # for a metric that declares no direction
EQUAL = "equal within delta"
NO_WORSE = "no worse than delta"
NO_BETTER = "no better than delta"
GIVEN_UP = "given up"  # with sequential seeds: no claim, and the budget would not bring one
TOO_FEW = "too few seeds"
NO_PAIR = "no common seed"
NO_VALUE = "–"

DECIDED = (WIN, WORSE, DIFFERS, EQUAL, NO_BETTER, GIVEN_UP)  # more seeds would not change these


def fixed_verdicts(
    differences: NDArray[np.float64],
    p_family: NDArray[np.float64],
    *,
    delta: float | None = None,
    higher_is_better: bool | None = True,
) -> list[str]:
    """Return the verdict on every comparison of a family with seeds that were fixed beforehand.

    "No worse than delta" is a test of its own: the one-sided p of the family for differences above -delta. With the
    same for differences below delta, it makes the two one-sided tests of "equal within delta" (Schuirmann 1987).

    Args:
        differences: (M, S) arm minus reference.
        p_family: (M,) from :func:`analysis.statistics.significance.family_p`.
        delta: the largest difference that does not matter, above 0; None where the study names none.
        higher_is_better: the direction of the metric; None where it declares none.
    """
    good = -differences if higher_is_better is False else differences
    no_worse = no_better = np.zeros(len(good), dtype=bool)
    if delta is not None:
        no_worse = family_p(good + delta, one_sided=True) < ALPHA
        no_better = family_p(delta - good, one_sided=True) < ALPHA
    if higher_is_better is None:  # neither side is the better one, so that only both bounds together say something
        no_worse = no_worse & no_better
    few = np.isfinite(good).sum(axis=1) < FEWEST_PAIRS
    found = np.select(  # by the first condition that holds
        [few, p_family < ALPHA, no_worse & no_better, no_worse],
        [TOO_FEW, _claims(good, higher_is_better), EQUAL, NO_WORSE],
        UNDECIDED,
    )
    return [str(verdict) for verdict in found]


def sequential_verdicts(
    differences: NDArray[np.float64],
    budget: int,
    *,
    tables: Sequence[Any] | None = None,
    delta: float | None = None,
    higher_is_better: bool | None = True,
) -> tuple[list[str], NDArray[np.intp]]:
    """Return the verdict on every comparison of a family that gets seeds until it is decided, and what it rests on.

    The seeds are gone through one by one, as they were run. A comparison that is in :data:`DECIDED` after a seed stays
    so, and what later seeds would say of it is not looked at, though other comparisons may have needed them; any other
    comparison needs more seeds.

    Args:
        differences: (M, S) arm minus reference, in the order of the seeds.
        budget: the most seeds that a comparison may get.
        tables: (M,) the table of each comparison, by which their noise may differ; all are of one if not given.
        delta: as for :func:`fixed_verdicts`, as is ``higher_is_better``.

    Returns:
        The verdicts; and after how many seeds (M,) each stood, or was looked at last.
    """
    good = -differences if higher_is_better is False else differences
    seen, looks = np.full(good.shape, np.nan), np.zeros(len(good), dtype=np.intp)
    found, undecided = np.full(len(good), UNDECIDED, dtype=object), np.ones(len(good), dtype=bool)
    no_worse, no_better = np.zeros((2, len(good)), dtype=bool)
    directed = higher_is_better is not None
    weights = {shift: shares(good, tables, shift) for shift in (0.0, *((-delta, delta) if delta else ()))}
    for seed in range(min(budget, good.shape[1])):
        seen[undecided, seed], looks[undecided] = good[undecided, seed], seed + 1
        now = seen[:, : seed + 1]
        claimed = family_e(wealth(now)[:, -1], weights[0.0]) >= DECISIVE
        if delta is not None:
            no_worse |= family_e(wealth(now, delta=-delta, side="above")[:, -1], weights[-delta]) >= DECISIVE
            no_better |= family_e(wealth(now, delta=delta, side="below")[:, -1], weights[delta]) >= DECISIVE
        hopeful = prospects(now, budget, tables)
        if delta is not None:
            above = prospects(now, budget, tables, delta=-delta, side="above")
            below = prospects(now, budget, tables, delta=delta, side="below")
            hopeful |= above & below if higher_is_better is None else above | below
        verdicts = np.select(  # by the first condition that holds
            [claimed, no_worse & no_better, no_better & directed, no_worse & directed, hopeful],
            [_claims(now, higher_is_better), EQUAL, NO_BETTER, NO_WORSE, UNDECIDED],
            GIVEN_UP,
        )
        found[undecided] = verdicts[undecided]
        undecided &= ~np.isin(verdicts, DECIDED)
    return [str(verdict) for verdict in found], looks


def without_pairs(values: int) -> str:
    """Return the verdict on an arm that has so many values, and no seed in common with what it is compared with."""
    return NO_PAIR if values else NO_VALUE


def _claims(differences: NDArray[np.float64], higher_is_better: bool | None) -> NDArray[np.str_]:
    """Return the verdict on every comparison (M,) whose difference is real; differences (M, S) above 0 are good."""
    gains = np.where(np.isfinite(differences), differences, 0.0).sum(axis=1)
    return np.where(higher_is_better is None, DIFFERS, np.where(gains > 0, WIN, WORSE))
