"""Does an arm help in these tables, and in general, and do arms rank differently? Three questions with three tests.

Letters: T tables of a study (one per combination of factor levels), K arms, S seeds, d (T, S) the paired differences of
an arm.

Flipping all T x S differences independently answers neither: it takes the runs for T x S independent answers to the
second question, and claims in one of six studies whose tables differ by chance alone (``docs/statistics.md``).

The ranks are tested by Friedman's test and Nemenyi's critical difference (Demšar, "Statistical Comparisons of
Classifiers over Multiple Data Sets", JMLR 2006). A table is a block, with one value of each arm, the mean over its
seeds: seeds of one table are not further tables, so the question is that of "in general".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import fdtrc

from analysis.statistics.pairs import aligned
from analysis.statistics.significance import ALPHA, FEWEST_PAIRS, mean_interval, sign_flip_p
from analysis.statistics.tables import LevelTable

LEAST_ARMS, LEAST_TABLES = 5, 2  # with fewer, arms are not ranked


class Answer(NamedTuple):
    """A mean gain over tables, in the unit of the metric."""

    effect: float
    low: float  # ends of the 95 % interval
    high: float
    p: float
    n: int  # seeds, or tables, that were flipped


@dataclass(frozen=True)
class Ranking:
    """The mean ranks of arms over tables."""

    ranks: pd.Series  # (K,) by arm, the best first; 1 is the best rank
    tables: int
    p: float  # Friedman's test in the form of Iman and Davenport: all arms are alike
    difference: float  # two arms whose mean ranks are this far apart differ at 5 %, over all pairs (Nemenyi)

    @property
    def able(self) -> bool:
        """Return whether this number of tables can tell any two arms apart."""
        return self.difference <= len(self.ranks) - 1

    def groups(self) -> list[list[str]]:
        """Return the largest sets of two arms or more that the critical difference does not tell apart."""
        found: list[list[str]] = []
        for first in self.ranks.index:
            near = self.ranks[(self.ranks >= self.ranks[first]) & (self.ranks - self.ranks[first] < self.difference)]
            group = [str(arm) for arm in near.index]
            if len(group) > 1 and not any(set(group) <= set(other) for other in found):
                found.append(group)
        return found


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
    return _answer(np.nanmean(d[np.isfinite(d).any(axis=1)], axis=1))


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


def ranking(values: ArrayLike, arms: Sequence[str], *, higher_is_better: bool = True) -> Ranking:
    """Return the ranking of arms by their values (T, K) in every table, T and K at least 2, without NaN.

    Values that are equal but for rounding share the mean of their ranks, for which p is corrected. The largest value
    has rank 1 if higher is better.
    """
    found = pd.DataFrame(np.asarray(values, dtype=float), columns=list(arms)).map("{:.12g}".format).astype(float)
    in_tables = found.rank(axis=1, ascending=not higher_is_better)  # (T, K)
    ranks = in_tables.mean()  # (K,)
    p = _friedman_p(in_tables.to_numpy())
    return Ranking(ranks.sort_values(kind="stable"), len(found), p, _nemenyi(len(arms), len(found)))


def ranking_of(levels: Sequence[LevelTable]) -> Ranking | None:
    """Return the ranking of a study's arms without its controls, over the tables in which all of them have a value.

    It is None with fewer than five arms or two such tables, and for a metric that declares no direction.
    """
    higher = levels[0].declared.higher_is_better
    means = pd.DataFrame([level.table["mean"] for level in levels]).drop(columns=list(levels[0].controls))
    means = means.dropna(axis=1, how="all").dropna()
    if higher is None or means.shape[0] < LEAST_TABLES or means.shape[1] < LEAST_ARMS:
        return None
    return ranking(means, [str(arm) for arm in means], higher_is_better=higher)


def _friedman_p(ranks: NDArray[np.float64]) -> float:
    """Return p of Iman and Davenport's F for ranks (T, K).

    It is the analysis of variance of the ranks, of which T (K - 1) between / total is Friedman's statistic, corrected
    for ties.
    """
    tables, count = ranks.shape
    middle = (count + 1) / 2
    between = tables * ((ranks.mean(axis=0) - middle) ** 2).sum()
    rest = ((ranks - middle) ** 2).sum() - between
    if rest < 1e-9:  # every table ranks the arms alike: F is infinite, and p is that of the same order by chance
        _, tied = np.unique(ranks[0], return_counts=True)
        orders = math.factorial(count) // math.prod(map(math.factorial, tied.tolist()))
        return 1 / orders ** (tables - 1)  # in whole numbers: from 171 arms they are beyond the largest float
    return float(fdtrc(count - 1, (count - 1) * (tables - 1), (tables - 1) * between / rest))


def _nemenyi(count: int, tables: int) -> float:
    """Return the critical difference of mean ranks of Nemenyi's test."""
    from scipy.stats import studentized_range  # it takes half a second to import, and few studies are ranked

    quantile = float(studentized_range.ppf(1 - ALPHA, count, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(count * (count + 1) / (6 * tables))
