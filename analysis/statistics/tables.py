"""The tables of a study: one row per arm, every gain paired by seed with the arm that it is compared with.

A study has one table per combination of factor levels. All their comparisons are one family, unless the study says
otherwise: :func:`level_tables` corrects p for the comparisons of every table at once.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.records.published import Published, compare_with_published
from analysis.records.runs import FACTOR, Plan, begun, done, metric_of
from analysis.statistics.pairs import ByArm, aligned, differences_of, require_logged, values_by_arm
from analysis.statistics.sequential import family_wealth, wealth
from analysis.statistics.significance import (
    ALPHA,
    FEWEST_PAIRS,
    family_p,
    mean_and_sd,
    mean_interval,
    probability_of_beating,
    sign_flip_p,
)
from analysis.statistics.verdicts import WIN, fixed_verdicts, sequential_verdicts
from mixlab.spec.metric import Metric
from mixlab.spec.trial import State

LOST = tuple(state.value for state in State if state is not State.DONE)  # the states of cells that have no value
GAINS = ["gain", "gain_low", "gain_high", "p"]
OVER_BASELINE = ("over_baseline", "over_baseline_low", "over_baseline_high")


@dataclass(frozen=True)
class Family:
    """The comparisons that share one error rate, and the rule that decides them."""

    comparisons: int = 0  # those that have a pair
    planned: int = 1  # those of the whole plan
    scope: str = "study"  # or "table"
    tables: int = 1  # the tables of the study
    delta: float | None = None  # a difference that does not matter, in the metric's unit
    budget: int | None = None  # the most seeds, where they are added until a comparison is decided
    seeds: int = 0  # those that any of its comparisons has
    looks: tuple[int, ...] = ()  # the numbers of seeds of earlier tables that could have claimed something
    was_sequential: bool = False  # seeds were added until decided before, and are a fixed number now
    elsewhere: int = 0  # the comparisons that other tables of the study made with these runs


@dataclass(frozen=True)
class LevelTable:
    """The table of one combination of factor levels, e.g. of one mixer."""

    levels: dict[str, Any]  # factor -> level; empty for a study without factors
    metric: str  # as it was logged, such as test_top1_median10
    declared: Metric  # its unit, direction and decimals
    baseline: str
    table: pd.DataFrame  # from ablation_table, and what _detailed and _decided add
    runs: pd.DataFrame  # one row per planned cell
    differences: ByArm  # arm minus reference, of every arm but the baseline
    family: Family = Family()
    against: Mapping[str, str] = field(default_factory=dict)  # arm -> the arm that it is compared with
    controls: Sequence[str] = ()  # arms that show what other arms change besides what they are named for
    arms: Sequence[str] = ()  # of the study: a table may lack one of which a search has found no winner
    extra: Sequence[str] = ()  # metrics that are shown besides, as means
    evidence: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # sequential: arm -> (S,) e (family)

    @property
    def name(self) -> str:
        """Return e.g. ``mixer = cutmix``; empty for a study without factors."""
        return ", ".join(f"{factor} = {level}" for factor, level in self.levels.items())

    @property
    def comparisons(self) -> int:
        """Return how many arms have a seed in common with what they are compared with."""
        return int((self.table["pairs"] > 0).sum())

    def reference(self, arm: str) -> str:
        """Return the arm that an arm is compared with."""
        return self.against.get(arm, self.baseline)


def ablation_table(
    runs: pd.DataFrame,
    metric: str,
    baseline: str,
    against: Mapping[str, str] | None = None,
    *,
    higher_is_better: bool | None = True,
) -> pd.DataFrame:
    """Return the gain of each arm, compared seed by seed with the baseline or with an arm of its own.

    Args:
        runs: one row per run, columns ``arm``, ``seed`` and the metric. A run whose metric is NaN (it failed) or
            infinite (it diverged) is not counted.
        metric: the number to compare, e.g. ``test_top1_median10``: the column of that name, or of the name after
            ``metric.`` as in the frames of ``load_runs``.
        baseline: the arm that the others are compared with.
        against: by arm, another arm that it is compared with instead.
        higher_is_better: the direction that counts as a win, None for a number without one, in which nothing wins; a
            gain is arm minus reference in any case.

    Returns:
        Index ``arm`` in order of first appearance; columns ``n`` (runs with a value), ``mean``, ``sd`` (ddof 1),
        ``gain`` (mean of the differences over the seeds that both arms have), ``gain_low``, ``gain_high`` (paired t,
        95 %), ``p`` (exact sign flip, of this comparison alone), ``p_family`` (corrected for all comparisons of these
        runs, see ``family_p``) and ``win`` (bool: ``p_family`` below 0.05 in the good direction). Values that cannot be
        computed are NaN: the gain of the baseline, the spread of one run.

    Raises:
        ValueError: a column is missing, the baseline or a reference is not an arm, or an arm has a seed twice.
    """
    values = values_by_arm(runs, metric, [baseline, *(against or {}).values()])
    return _gains(values, differences_of(values, baseline, against), higher_is_better)


def _gains(values: ByArm, differences: ByArm, higher_is_better: bool | None) -> pd.DataFrame:
    """Return the :func:`ablation_table` of these values and differences."""
    means = [(len(series), *mean_and_sd(series)) for series in values.values()]
    gains = [(*mean_interval(pairs), sign_flip_p(pairs)) for pairs in differences.values()]
    compared = pd.DataFrame(gains, pd.Index(list(differences)), GAINS, float)
    compared["p_family"] = family_p(aligned(differences.values()))
    table = pd.DataFrame(means, pd.Index(list(values), name="arm"), ["n", "mean", "sd"]).join(compared)
    good = table["gain"] > 0 if higher_is_better else table["gain"] < 0
    found = (table["p_family"] < ALPHA) & (higher_is_better is not None)
    return table.assign(win=found & good)


def level_tables(
    runs: pd.DataFrame, plan: Plan, metric: str | Metric | None = None, published: Published | None = None
) -> list[LevelTable]:
    """Return one table per combination of factor levels, in the order of the plan, decided as one family.

    Args:
        runs: one row per planned cell (:func:`analysis.records.runs.load_runs`).
        plan: names the factors, the baseline, the metric, and the rule that decides.
        metric: another metric than the plan's: its logged name, or one that the plan does not declare.
        published: the paper's values by (level of each factor ..., arm), to be put next to ours.

    Raises:
        ValueError: no run has finished, the metric was not logged, or the baseline is not an arm.
    """
    baseline, factors = plan["baseline"], list(plan["factors"])
    name = metric.name if isinstance(metric, Metric) else metric or plan["metric"]
    declared = metric if isinstance(metric, Metric) else metric_of(plan, name)
    if done(runs).empty:
        counts = ", ".join(f"{count} {status}" for status, count in runs["status"].value_counts().items())
        raise ValueError(f"study {plan['study']!r} has no run that is done: {counts or 'nothing was planned'}")
    require_logged(runs, name)
    runs = runs.sort_values("arm", key=lambda arms: arms.map(plan["arms"].index), kind="stable")
    sequential, columns = plan.get("sequential") or {}, [FACTOR + factor for factor in factors]
    if sequential:
        runs = begun(runs, columns)
    against = {arm: reference for arm, reference in (plan.get("against") or {}).items() if reference != baseline}
    controls = plan.get("controls") or []
    tables = []
    for levels in dict.fromkeys(tuple(trial["levels"][factor] for factor in factors) for trial in plan["trials"]):
        mine = runs[(runs[columns] == list(levels)).all(axis=1)]
        values = values_by_arm(mine, name, [baseline, *against.values()])
        differences = differences_of(values, baseline, against)
        table = _gains(values, differences, declared.higher_is_better)
        named = dict(zip(factors, levels, strict=True))
        arms = {"against": against, "controls": controls, "arms": plan["arms"]}
        level = LevelTable(named, name, declared, baseline, table, mine, differences, **arms)
        table = _detailed(level, values)
        if published is not None:
            theirs = {arm: published[*levels, arm] for arm in table.index if (*levels, arm) in published}
            table = compare_with_published(table, theirs)
        tables.append(replace(level, table=table))
    scope = plan.get("family", "study")
    families = [[level] for level in tables] if scope == "table" else [tables]
    delta = plan.get("delta") if declared.name == metric_of(plan, plan["metric"]).name else None  # it is in its unit
    rest = {"scope": scope, "tables": len(tables), "delta": delta, "budget": sequential.get("budget")}
    earlier = plan.get("looks") or {}
    rest["looks"] = tuple(seeds for seeds in earlier.get("seeds", ()) if seeds >= FEWEST_PAIRS)
    rest["was_sequential"] = bool(earlier.get("until_decided"))
    rest["elsewhere"] = earlier.get("comparisons", 0)
    return [level for family in families for level in _decided(family, rest)]


def _detailed(level: LevelTable, values: ByArm) -> pd.DataFrame:
    """Return the ablation table with ``pairs``, ``mean_low``, ``mean_high``, ``p_beats`` and counts of lost cells.

    ``p_beats`` is NaN where the metric has no direction. If an arm is compared with another than the baseline,
    ``over_baseline``, ``_low`` and ``_high`` hold what all arms gain over that, for which no test is made.
    """
    table, higher = level.table.copy(), level.declared.higher_is_better
    table["pairs"] = [len(level.differences.get(arm, ())) for arm in values]
    table[["mean_low", "mean_high"]] = [mean_interval(series)[1:] for series in values.values()]
    if level.against:
        over = differences_of(values, level.baseline)
        table[list(OVER_BASELINE)] = [mean_interval(over.get(arm, ())) for arm in values]
    references = {arm: values[level.reference(arm)] for arm in level.differences}
    pairs = [(series, references.get(arm, ())) for arm, series in values.items()]
    beats = [probability_of_beating(*(pair if higher else pair[::-1])) for pair in pairs]
    table["p_beats"] = math.nan if higher is None else beats
    counts = Counter(zip(level.runs["arm"].tolist(), level.runs["status"].tolist(), strict=True))
    for status in LOST:
        table[status] = [counts[arm, status] for arm in table.index]
    return table


def _decided(tables: Sequence[LevelTable], rest: Mapping[str, Any]) -> list[LevelTable]:
    """Return the tables of one family with the columns ``p_family``, ``win`` and ``verdict`` of the whole family.

    Where seeds are added until a comparison is decided, no p of a fixed plan holds: ``p`` and ``p_family`` are NaN, and
    ``e`` and ``e_family``, the largest evidence so far, replace them.
    """
    found = [(level, arm, row) for level in tables for arm, row in level.differences.items()]
    matrix = aligned(row for _, _, row in found)  # (M, S)
    able: NDArray[np.bool_] = np.asarray(np.isfinite(matrix).any(axis=1))
    columns: dict[str, Any] = {"p_family": family_p(matrix)}
    seen = evidence = matrix
    higher = tables[0].declared.higher_is_better
    if rest["budget"] is None:
        verdicts = fixed_verdicts(matrix, columns["p_family"], delta=rest["delta"], higher_is_better=higher)
    else:
        of = [tuple(level.levels.values()) for level, _, _ in found]
        verdicts, seen = sequential_verdicts(
            matrix, rest["budget"], tables=of, delta=rest["delta"], higher_is_better=higher
        )
        nothing = np.full(len(matrix), math.nan)
        columns = {"p": nothing, "p_family": nothing, "e": nothing, "e_family": nothing}
        if matrix.shape[1]:
            evidence = family_wealth(seen, tables=of)
            columns |= {"e": wealth(seen).max(axis=1), "e_family": evidence.max(axis=1)}
    family = Family(comparisons=int(able.sum()), planned=max(1, len(found)), seeds=matrix.shape[1], **rest)
    decided = []
    for level in tables:
        mine = [index for index, (owner, _, _) in enumerate(found) if owner is level]
        arms = [found[index][1] for index in mine]
        table = level.table.copy()
        for name, values in columns.items():
            table[name] = pd.Series(values[mine], index=arms, dtype=float).reindex(table.index)
        said = {
            arm: verdicts[index] if able[index] else ("no common seed" if table.loc[arm, "n"] else "–")
            for arm, index in zip(arms, mine, strict=True)
        }
        table["verdict"] = [said.get(arm, "") for arm in table.index]
        table["win"] = table["verdict"] == WIN
        with_pairs = [index for index in mine if able[index] and rest["budget"] is not None]
        known = {index: np.flatnonzero(np.isfinite(seen[index])) for index in with_pairs}
        by_arm = {found[index][1]: evidence[index, : seeds.max(initial=-1) + 1] for index, seeds in known.items()}
        decided.append(replace(level, table=table, family=family, evidence=by_arm))
    return decided
