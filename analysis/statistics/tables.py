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
from analysis.records.runs import FACTOR, Plan, all_over, at_levels, begun, done, metric_of
from analysis.statistics.family import Family, decisions, planned_family
from analysis.statistics.pairs import ByArm, aligned, differences_of, require_logged, values_by_arm
from analysis.statistics.significance import (
    ALPHA,
    family_p,
    mean_and_sd,
    mean_interval,
    probability_of_beating,
    sign_flip_p,
)
from analysis.statistics.verdicts import WIN, without_pairs
from mixlab.spec.metric import Metric
from mixlab.spec.trial import State, cell_name

LOST = tuple(state.value for state in State if state is not State.DONE)  # the states of cells that have no value
GAINS = ["gain", "gain_low", "gain_high", "p"]
OVER_BASELINE = ("over_baseline", "over_baseline_low", "over_baseline_high")


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
    family: Family = field(default_factory=Family)
    against: Mapping[str, str] = field(default_factory=dict)  # arm -> the arm that it is compared with
    controls: Sequence[str] = ()  # arms that show what other arms change besides what they are named for
    arms: Sequence[str] = ()  # all of the study's: a table lacks one for which a search has found no winner
    tried: Mapping[str, int] = field(default_factory=dict)  # arm -> trials of a search of which it shows the best
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

    def role(self, arm: str) -> str:
        """Return what is written after the name of an arm: `` (control)`` for a control, else nothing."""
        return " (control)" if arm in self.controls else ""


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
    runs = _counted(runs, plan, name)
    combinations = dict.fromkeys(tuple(trial["levels"][factor] for factor in factors) for trial in plan["trials"])
    against = {arm: reference for arm, reference in (plan.get("against") or {}).items() if reference != baseline}
    tried, tables = plan.get("tried") or {}, []
    for levels in combinations:
        named = dict(zip(factors, levels, strict=True))
        mine = at_levels(runs, named)
        values = values_by_arm(mine, name, [baseline, *against.values()])
        differences = differences_of(values, baseline, against)
        level = LevelTable(
            levels=named,
            metric=name,
            declared=declared,
            baseline=baseline,
            table=_gains(values, differences, declared.higher_is_better),
            runs=mine,
            differences=differences,
            against=against,
            controls=plan.get("controls") or [],
            arms=plan["arms"],
            tried={arm: tried[cell] for arm in values if (cell := cell_name(map(str, levels), arm)) in tried},
        )
        table = _detailed(level, values)
        if published is not None:
            theirs = {arm: published[*levels, arm] for arm in table.index if (*levels, arm) in published}
            table = compare_with_published(table, theirs)
        tables.append(replace(level, table=table))
    family = planned_family(plan, name, declared, len(tables))
    families = [[level] for level in tables] if family.scope == "table" else [tables]
    return [level for members in families for level in _decided(members, family)]


def _counted(runs: pd.DataFrame, plan: Plan, metric: str) -> pd.DataFrame:
    """Return the runs that the tables show, in the order of the plan's arms; errors as for :func:`level_tables`."""
    if done(runs).empty:
        counts = ", ".join(f"{count} {status}" for status, count in runs["status"].value_counts().items())
        raise ValueError(f"study {plan['study']!r} has no run that is done: {counts or 'nothing was planned'}")
    require_logged(runs, metric)
    runs = runs.sort_values("arm", key=lambda arms: arms.map(plan["arms"].index), kind="stable")
    return begun(runs, [FACTOR + factor for factor in plan["factors"]]) if plan.get("sequential") else runs


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
    beats = []
    for arm, mine in values.items():
        theirs = () if arm == level.baseline else values[level.reference(arm)]
        beats.append(probability_of_beating(mine, theirs) if higher else probability_of_beating(theirs, mine))
    table["p_beats"] = math.nan if higher is None else beats
    counts = Counter(zip(level.runs["arm"].tolist(), level.runs["status"].tolist(), strict=True))
    for status in LOST:
        table[status] = [counts[arm, status] for arm in table.index]
    return table


def _decided(tables: Sequence[LevelTable], planned: Family) -> list[LevelTable]:
    """Return the tables of one family with the columns of its decisions, and with ``win``."""
    compared = [(level, arm) for level in tables for arm in level.differences]
    differences = aligned(level.differences[arm] for level, arm in compared)  # (M, S)
    paired: NDArray[np.bool_] = np.asarray(np.isfinite(differences).any(axis=1))
    family = replace(
        planned,
        comparisons=int(paired.sum()),
        planned=max(1, len(compared)),
        seeds=differences.shape[1],
        unfinished=planned.budget is None and not all(all_over(level.runs) for level in tables),
    )
    of_table = [tuple(level.levels.values()) for level, _ in compared]
    direction = tables[0].declared.higher_is_better
    found, evidence = decisions(differences, of_table, family, higher_is_better=direction)
    found.loc[~paired, found.columns != "verdict"] = math.nan
    for m, (level, arm) in enumerate(compared):
        if not paired[m]:
            found.loc[m, "verdict"] = without_pairs(int(level.table["n"][arm]))
    decided = []
    for level in tables:
        rows = {arm: m for m, (owner, arm) in enumerate(compared) if owner is level}
        mine = found.loc[list(rows.values())].set_axis(list(rows)).reindex(level.table.index).fillna({"verdict": ""})
        table = level.table.assign(**mine)
        table["win"] = table["verdict"] == WIN
        paths = {arm: evidence[m] for arm, m in rows.items() if evidence and paired[m]}
        decided.append(replace(level, table=table, family=family, evidence=paths))
    return decided
