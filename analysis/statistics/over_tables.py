"""Does an arm help in these tables, and does it help in general? Two questions with two tests.

Letters: T tables of a study (one per combination of factor levels), S seeds, d (T, S) the paired differences of an arm.

Flipping all T x S differences independently answers neither: it takes the runs for T x S independent answers to the
second question, and claims in one of six studies whose tables differ by chance alone (``docs/statistics.md``).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.statistics.pairs import aligned
from analysis.statistics.significance import FEWEST_PAIRS, mean_interval, sign_flip_p
from analysis.statistics.tables import LevelTable


class Answer(NamedTuple):
    """A mean gain over tables, in the unit of the metric."""

    effect: float
    low: float  # ends of the 95 % interval
    high: float
    p: float
    n: int  # seeds, or tables, that were flipped


def here(differences: ArrayLike) -> Answer:
    """Return the mean gain over these tables, tested against the arm changing nothing in any of them.

    All tables of a seed are flipped together, so the test is that of the seeds' means over the tables. The differences
    are (T, S); a seed that any table lacks is not counted.
    """
    d = np.asarray(differences, dtype=float)
    means = d[:, np.isfinite(d).all(axis=0)].mean(axis=0)  # (S,)
    return _answer(means)


def in_general(differences: ArrayLike) -> Answer:
    """Return the mean gain over tables as a sample of all the tables that there might be.

    Every table is one number, its mean difference. From fewer than 6 tables no p can be below 0.05. The differences are
    (T, S), NaN where a table lacks a seed; a table without any is not counted.
    """
    d = np.asarray(differences, dtype=float)
    known = np.isfinite(d).any(axis=1)
    return _answer(np.nanmean(d[known], axis=1) if known.any() else np.zeros(0))


def over_tables(levels: Sequence[LevelTable]) -> pd.DataFrame:
    """Return both answers for every arm that two tables or more have in common.

    The index is (arm, question), question being ``here`` or ``in general``; the columns are ``effect``, ``low``,
    ``high``, ``p``, ``n`` and ``able``: whether so many seeds or tables can claim anything.
    """
    rows = {}
    by_table = [level.differences for level in levels]
    for arm in dict.fromkeys(arm for found in by_table for arm in found):
        mine = [found[arm] for found in by_table if len(found.get(arm, ()))]
        if len(mine) < 2:
            continue
        d = aligned(mine)
        rows[arm, "here"], rows[arm, "in general"] = here(d), in_general(d)
    index = pd.MultiIndex.from_tuples(list(rows), names=["arm", "question"]) if rows else None
    table = pd.DataFrame(list(rows.values()), index=index, columns=list(Answer._fields))
    return table.assign(able=table["n"] >= FEWEST_PAIRS)


def _answer(values: np.ndarray) -> Answer:
    return Answer(*mean_interval(values), sign_flip_p(values), len(values))
