"""Main effects and interactions of a factorial design, in which every run serves every effect.

Letters: k factors of two levels, S seeds. A full factorial has 2^k arms. For each seed an effect is a contrast over all
of them, so the seeds' contrasts are tested like any paired difference. With k = 3 a main effect has half the standard
deviation of the difference of one pair of arms.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.records.runs import FACTOR
from analysis.statistics.pairs import finite_values, metric_column
from analysis.statistics.significance import family_p, mean_interval, sign_flip_p
from analysis.statistics.tables import LevelTable
from mixlab.errors import hint

BETWEEN = " × "  # the names of an interaction's factors


def factorial_effects(runs: pd.DataFrame, metric: str, factors: Sequence[str]) -> pd.DataFrame:
    """Return what each factor adds, averaged over the levels of the others, and what each interaction adds to that.

    On data y = mu + a x1 + b x2 + c x1 x2 + seed + noise with x of -1 and 1 the estimates are a, b and c. The effect of
    a factor whose levels are not numbers is the mean at the level that comes second in ``runs`` minus that at the
    first; for numbers it is divided by their distance. An interaction says by how much the effect of one factor
    changes when the other moves from its first level to its second, or by one unit.

    Args:
        runs: one row per run: columns ``seed``, the metric and the factors, each bare or as in the frames of
            ``load_runs``. A seed that lacks a finite value of a combination of levels is not counted.
        metric: the number to compare.
        factors: names of the k factors, each of two levels.

    Returns:
        Index ``effect``: each factor, then the interactions such as ``lam × s``, by order. Columns ``estimate``,
        ``low``, ``high`` (t interval over the seeds' contrasts, 95 %), ``p`` (exact sign flip), and ``p_family``
        (corrected for all effects). Values that too few seeds leave open are NaN.

    Raises:
        ValueError: there are no factors, a column is missing, a factor does not have two levels, or a seed has two
            runs of one combination.
    """
    if not factors:
        raise ValueError("effects are those of factors, got none: give the names of one or more, of two levels each")
    value = metric_column(runs, metric)
    columns = [FACTOR + name if FACTOR + name in runs else name for name in factors]
    for name in ("seed", value, *columns):
        if name not in runs:
            raise ValueError(f"the runs have no column {name!r}; {hint(name, map(str, runs.columns))}")
    levels = [_high_and_distance(name, runs[column]) for name, column in zip(factors, columns, strict=True)]
    valid = runs[finite_values(runs, metric).notna()]
    twice = valid[valid.duplicated(["seed", *columns])]
    if len(twice):
        raise ValueError(f"seed {twice['seed'].iloc[0]} has two runs of one combination of {', '.join(factors)}")
    whole = valid[valid.groupby("seed")["seed"].transform("size") == 2 ** len(factors)]
    seeds, values = whole["seed"].to_numpy(), whole[value].to_numpy(dtype=float)
    signs = np.where(whole[columns] == [high for high, _ in levels], 1, -1)  # (runs, k)
    contrasts = {}
    for order in range(1, len(factors) + 1):
        for chosen in itertools.combinations(range(len(factors)), order):
            # The half of 2^k runs with the product +1 minus the other half; a change of order m is 2^m such sums.
            scale = 2**order / (2 ** len(factors) * math.prod(levels[index][1] for index in chosen))
            by_seed = pd.Series(signs[:, chosen].prod(axis=1) * values).groupby(seeds).agg(math.fsum) * scale
            contrasts[BETWEEN.join(factors[index] for index in chosen)] = by_seed.to_numpy()
    rows = [(*mean_interval(by_seed), sign_flip_p(by_seed)) for by_seed in contrasts.values()]
    table = pd.DataFrame(rows, pd.Index(list(contrasts), name="effect"), ["estimate", "low", "high", "p"], float)
    return table.assign(p_family=family_p(np.array(list(contrasts.values()))))


def _high_and_distance(factor: str, values: pd.Series) -> tuple[Any, float]:
    """Return the second of the two levels of a factor, or the larger one, and how far it is from the other."""
    levels = list(dict.fromkeys(values))
    if len(levels) != 2:
        raise ValueError(f"the factor {factor!r} needs two levels, got {', '.join(map(str, levels)) or 'none'}")
    if not pd.api.types.is_numeric_dtype(values):
        return levels[1], 1.0
    return max(levels), float(max(levels)) - float(min(levels))


def effects_by_table(levels: Sequence[LevelTable], design: Mapping[str, Any] | None) -> dict[str, pd.DataFrame]:
    """Return the :func:`factorial_effects` of a plan's design by the name of each table.

    A table without runs of one of the design's arms, of which a search has found no winner, is left out; without a
    design all are.
    """
    return {
        level.name: factorial_effects(design_runs(level.runs, design), level.metric, design["terms"])
        for level in levels
        if design is not None and set(design["signs"]) <= set(level.runs["arm"])
    }


def design_runs(runs: pd.DataFrame, design: Mapping[str, Any]) -> pd.DataFrame:
    """Return the runs of a design's arms, with ``off`` or ``on`` in a column per term, by the ``signs`` of each arm."""
    mine = runs[runs["arm"].isin(list(design["signs"]))]
    words = {
        term: mine["arm"].map({arm: "on" if signs[term] > 0 else "off" for arm, signs in design["signs"].items()})
        for term in design["terms"]
    }
    # The arm without any term comes first, so that "off" is the first level of every term.
    return mine.assign(**words).sort_values(list(design["terms"]), kind="stable")
