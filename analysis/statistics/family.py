"""The family of comparisons that share one error rate, and the verdicts of its rule.

Letters: S seeds, M comparisons; differences (M, S) are arm minus reference, NaN where a comparison lacks a seed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.records.runs import Plan, metric_of
from analysis.statistics.sequential import family_wealth, wealth
from analysis.statistics.significance import FEWEST_PAIRS, family_p
from analysis.statistics.verdicts import fixed_verdicts, sequential_verdicts
from mixlab.spec.metric import Metric


@dataclass(frozen=True)
class Family:
    """The comparisons that share one error rate, and the rule that decides them."""

    comparisons: int = 0  # comparisons that have a pair
    planned: int = 1  # comparisons of the whole plan
    scope: str = "study"  # or "table"
    tables: int = 1  # the tables of the study
    delta: float | None = None  # a difference that does not matter, in the metric's unit
    budget: int | None = None  # the most seeds, where they are added until a comparison is decided
    seeds: int = 0  # seeds that any of the comparisons has
    looks: tuple[int, ...] = ()  # the numbers of seeds of earlier tables that could have claimed something
    was_sequential: bool = False  # earlier, seeds were added until decided; now their number is fixed
    elsewhere: int = 0  # the comparisons that other tables of the study made with these runs
    own_metric: str = ""  # the metric of the study, where the table compares another
    earlier_metrics: tuple[str, ...] = ()  # the other metrics that earlier tables compared
    other_delta: bool = False  # earlier tables had another delta, or none
    other_family: bool = False  # earlier tables had another scope
    searched_on: tuple[int, ...] = ()  # the trials of each confirmation after whose results the search went on
    other_winners: int = 0  # how often these had other winners, each choice of them counted once
    shared_seeds: bool = False  # some of these have been trained with seeds of today's
    unfinished: bool = False  # the number of seeds is fixed, and not all of them are over


def planned_family(plan: Plan, metric: str, declared: Metric, tables: int) -> Family:
    """Return the family of a plan of so many tables for a logged metric, before its comparisons are counted."""
    looks = plan.get("looks") or {}
    own_metric = plan["metric"]
    same = declared.name == metric_of(plan, own_metric).name
    confirmed, won = looks.get("confirmed", ()), _points(plan)
    cells = {cell for cell, _ in won}
    others = {frozenset(then for then in _points(each) if then[0] in cells): each["seeds"] for each in confirmed}
    others = {then: seeds for then, seeds in others.items() if not then <= won}
    return Family(
        scope=plan.get("family", "study"),
        tables=tables,
        delta=plan.get("delta") if same else None,  # it is in the unit of the plan's metric
        budget=(plan.get("sequential") or {}).get("budget"),
        looks=tuple(seeds for seeds in looks.get("seeds", ()) if seeds >= FEWEST_PAIRS),
        was_sequential=bool(looks.get("until_decided")),
        elsewhere=looks.get("comparisons", 0),
        own_metric="" if metric == own_metric else own_metric,
        earlier_metrics=tuple(name for name in looks.get("metrics", ()) if name != metric),
        other_delta=bool(looks.get("other_delta")),
        other_family=bool(looks.get("other_family")) and tables > 1,  # one table is its study
        searched_on=tuple(sorted(sum(count for count, _ in each["winners"].values()) for each in confirmed)),
        other_winners=len(others),
        shared_seeds=any(trial["seed"] in seeds for seeds in others.values() for trial in plan["trials"]),
    )


def _points(plan: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Return the cells that a search has tuned, each with its point."""
    return frozenset((cell, point) for cell, (_, point) in plan.get("winners", {}).items())


def decisions(
    differences: NDArray[np.float64],
    tables: Sequence[Any],  # (M,) of each comparison
    family: Family,
    *,
    higher_is_better: bool | None,
) -> tuple[pd.DataFrame, Sequence[NDArray[np.float64]]]:
    """Return ``p_family`` and ``verdict`` of every comparison, a row each, and the evidence for each, if there is any.

    Where seeds are added until a comparison is decided, no p of a fixed plan holds: ``p`` and ``p_family`` are NaN, and
    ``e`` and ``e_family``, the largest evidence so far, replace them. The evidence is then e (family) after each seed,
    up to the last one that was looked at.
    """
    direction, delta = higher_is_better, family.delta
    if family.budget is None:
        p_family = family_p(differences)
        verdicts = fixed_verdicts(differences, p_family, delta=delta, higher_is_better=direction)
        return pd.DataFrame({"p_family": p_family, "verdict": pd.Series(verdicts, dtype=str)}), ()
    verdicts, looks = sequential_verdicts(
        differences, family.budget, tables=tables, delta=delta, higher_is_better=direction
    )
    numbers = dict.fromkeys(("p", "p_family", "e", "e_family"), math.nan)
    found = pd.DataFrame({**numbers, "verdict": pd.Series(verdicts, dtype=str)})
    if not differences.shape[1]:
        return found, ()
    seen = np.where(np.arange(differences.shape[1]) < looks[:, None], differences, np.nan)
    evidence = [path[:end] for path, end in zip(family_wealth(seen, tables=tables), looks, strict=True)]
    return found.assign(e=wealth(seen).max(axis=1), e_family=[path.max() for path in evidence]), evidence
