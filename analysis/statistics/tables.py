"""The table of an ablation: one row an arm, every gain paired by seed with the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.records.metrics import metric_of
from analysis.records.published import PublishedNumber
from analysis.records.runs import FACTOR, METRIC, Plan, done
from analysis.statistics.significance import (
    holm,
    is_win,
    mean_interval,
    pairs_to_reach,
    probability_of_beating,
    sign_flip_p,
    smallest_p,
)
from mixlab.spec.metric import Metric
from mixlab.spec.state import State

LOST = tuple(state.value for state in State if state is not State.DONE)  # of cells that have no value
COLUMNS = ("n", "mean", "sd", "gain", "gain_low", "gain_high", "p", "p_holm", "win")
NOT_METRICS = ("seed", "epochs", "dirty")

Published = Mapping[tuple[Any, ...], PublishedNumber]  # by (level of each factor ..., arm)


@dataclass(frozen=True)
class LevelTable:
    """The table of one combination of factor levels, e.g. of one mixer."""

    levels: dict[str, Any]  # factor -> level; empty for a study without factors
    metric: str  # as it was logged, such as test_top1_median10
    declared: Metric  # its unit, direction and decimals
    baseline: str
    table: pd.DataFrame  # ablation_table, and what detailed() adds
    runs: pd.DataFrame  # one row a planned cell

    @property
    def name(self) -> str:
        """E.g. ``mixer = cutmix``; empty for a study without factors."""
        return ", ".join(f"{factor} = {level}" for factor, level in self.levels.items())

    @property
    def comparisons(self) -> int:
        """Arms that could be compared with the baseline."""
        return int(self.table["p"].notna().sum())

    @property
    def planned_comparisons(self) -> int:
        """Arms to be compared once every cell is there; 1 for a study of a baseline alone."""
        return max(1, len(self.table) - 1)


def ablation_table(
    runs: pd.DataFrame, metric: str, baseline: str, *, higher_is_better: bool | None = True
) -> pd.DataFrame:
    """What each arm is worth, compared with the baseline seed by seed.

    Args:
        runs: one row a run, columns ``arm``, ``seed`` and ``metric``. A run whose metric is NaN (it failed) is not
            counted.
        metric: the number to compare, e.g. ``test_top1_median10``: the column of that name, or of the name after
            ``metric.`` as in the frames of ``load_runs``.
        baseline: the arm that the others are compared with.
        higher_is_better: the direction that counts as a win, None for a number without one, in which nothing wins; a
            gain is arm minus baseline in any case.

    Returns:
        Index ``arm`` in order of first appearance; columns ``n`` (runs with a value), ``mean``, ``sd`` (ddof 1),
        ``gain`` (mean of the differences over the seeds that both arms have), ``gain_low``, ``gain_high`` (paired t,
        95 %), ``p`` (sign-flip, exact), ``p_holm`` (corrected over the arms of this table) and ``win`` (bool). What
        cannot be computed is NaN: the gain of the baseline, the spread of one run.

    Raises:
        ValueError: a column is missing, the baseline is not an arm, or an arm has two values for one seed.
    """
    values = _values_by_arm(runs, metric, baseline)
    table = pd.DataFrame(index=pd.Index(list(values), name="arm"), columns=list(COLUMNS), dtype=float)
    for arm, series in values.items():
        differences = series.iloc[:0] if arm == baseline else (series - values[baseline]).dropna()
        table.loc[arm, ["n", "mean", "sd"]] = [len(series), series.mean(), series.std(ddof=1)]
        table.loc[arm, ["gain", "gain_low", "gain_high"]] = list(mean_interval(differences))
        table.loc[arm, "p"] = sign_flip_p(differences)
    table["p_holm"] = holm(table["p"])
    wins = [
        higher_is_better is not None and is_win(p, gain, higher_is_better=higher_is_better)
        for p, gain in zip(table.p_holm, table.gain, strict=True)
    ]
    return table.assign(n=table["n"].astype(int), win=np.array(wins, dtype=bool))


def paired_differences(runs: pd.DataFrame, metric: str, baseline: str) -> dict[str, pd.Series]:
    """Arm minus baseline, by seed, for every arm but the baseline: (N,) each, indexed by the seeds both have.

    Raises:
        ValueError: as :func:`ablation_table`.
    """
    values = _values_by_arm(runs, metric, baseline)
    return {arm: (series - values[baseline]).dropna() for arm, series in values.items() if arm != baseline}


def level_tables(
    runs: pd.DataFrame, plan: Plan, metric: str | Metric | None = None, published: Published | None = None
) -> list[LevelTable]:
    """One table per combination of factor levels, in the order of the plan.

    Args:
        runs: one row a planned cell (:func:`analysis.runs.load_runs`).
        plan: names the factors, the baseline and the metric.
        metric: another metric than the plan's: its logged name, or one that the plan does not declare.
        published: the paper's values by (level of each factor ..., arm), to be put beside ours.

    Raises:
        ValueError: no run has finished, the metric was not logged, or the baseline is not an arm.
    """
    baseline, factors = plan["baseline"], list(plan["factors"])
    name = metric.name if isinstance(metric, Metric) else metric or plan["metric"]
    declared = metric if isinstance(metric, Metric) else metric_of(plan, name)
    if done(runs).empty:
        counts = ", ".join(f"{count} {status}" for status, count in runs["status"].value_counts().items())
        raise ValueError(f"study {plan['study']!r} has no run that is done: {counts or 'nothing was planned'}")
    if name not in logged_metrics(runs):
        known = ", ".join(logged_metrics(runs)) or "none"
        raise ValueError(f"no run that is done logged the metric {name!r}; logged: {known}")
    runs = runs.sort_values("arm", key=lambda arms: arms.map(plan["arms"].index), kind="stable")
    tables = []
    for levels in dict.fromkeys(tuple(trial["levels"][factor] for factor in factors) for trial in plan["trials"]):
        mine = runs[[row == levels for row in _rows(runs, [FACTOR + factor for factor in factors])]]
        table = _detailed(mine, name, declared, baseline)
        if published is not None:
            theirs = {arm: published[*levels, arm] for arm in table.index if (*levels, arm) in published}
            table = compare_with_published(table, theirs)
        tables.append(LevelTable(dict(zip(factors, levels, strict=True)), name, declared, baseline, table, mine))
    return tables


def compare_with_published(table: pd.DataFrame, published: Mapping[str, PublishedNumber]) -> pd.DataFrame:
    """Our means beside the paper's values.

    Args:
        table: one row an arm, with ``mean``, ``mean_low`` and ``mean_high``.
        published: the paper's number by arm; an arm without one gets NaN.

    Returns:
        The table with ``published``, ``published_rule``, ``source``, ``difference`` (ours minus theirs) and ``inside``:
        whether the paper's value lies in the 95 % t interval of our mean; missing where either is.
    """
    arms = table.index.to_series()
    theirs = arms.map({arm: number.value for arm, number in published.items()}).astype(float)
    rules = arms.map({arm: number.rule for arm, number in published.items()})
    sources = arms.map({arm: number.source for arm, number in published.items()})
    inside = theirs.between(table["mean_low"], table["mean_high"]).astype("boolean")
    known = theirs.notna() & table["mean_low"].notna()
    return table.assign(
        published=theirs,
        published_rule=rules,
        source=sources,
        difference=table["mean"] - theirs,
        inside=inside.where(known),
    )


def logged_metrics(runs: pd.DataFrame) -> list[str]:
    """Return the names of the metrics that at least one run has a value of."""
    named = [str(name) for name in runs if str(name).startswith(METRIC)]
    numbers = named or [str(name) for name in runs.select_dtypes("number") if name not in NOT_METRICS]
    return [name.removeprefix(METRIC) for name in numbers if runs[name].notna().any()]


def metric_column(runs: pd.DataFrame, metric: str) -> str:
    """Return the column of a metric: that of ``load_runs``, or the bare name in a frame of a user's own."""
    return METRIC + metric if METRIC + metric in runs else metric


def verdict(row: pd.Series, comparisons: int, *, directed: bool = True) -> str:
    """What may be said of an arm: win, worse, not significant, too few seeds, or nothing to compare.

    Args:
        row: of a table with ``pairs``, ``p_holm``, ``gain`` and ``win``.
        comparisons: arms compared in that table.
        directed: a higher or a lower value is better; else a significant arm only differs.
    """
    if math.isnan(row["p"]):
        return "no common seed" if row["n"] else "–"
    if row["win"]:
        return "win"
    if row["p_holm"] < 0.05:
        return "worse" if directed else "differs"
    return "too few seeds" if smallest_p(int(row["pairs"])) * comparisons >= 0.05 else "not significant"


def fewest_pairs(level: LevelTable) -> int:
    """The pairs that one arm of this table needs before any gain could be significant."""
    return pairs_to_reach(level.planned_comparisons)


def _values_by_arm(runs: pd.DataFrame, metric: str, baseline: str) -> dict[str, pd.Series]:
    """The metric by seed of every arm, without NaN."""
    value = metric_column(runs, metric)
    for column in ("arm", "seed", value):
        if column not in runs:
            known = logged_metrics(runs) if column == value else list(runs.columns)
            raise ValueError(f"the runs have no column {column!r}; available: {', '.join(map(str, known)) or 'none'}")
    arms = list(dict.fromkeys(runs["arm"]))
    if baseline not in arms:
        raise ValueError(
            f"the baseline {baseline!r} is not an arm; the arms are: {', '.join(map(str, arms)) or 'none'}"
        )
    valid = runs[runs[value].notna()]
    twice = valid[valid.duplicated(["arm", "seed"])]
    if len(twice):
        arm, seed = twice.iloc[0][["arm", "seed"]]
        raise ValueError(f"arm {arm!r} has seed {seed} twice: give one run of each seed, of one level of every factor")
    return {arm: valid[valid["arm"] == arm].set_index("seed")[value].astype(float) for arm in arms}


def _detailed(runs: pd.DataFrame, metric: str, declared: Metric, baseline: str) -> pd.DataFrame:
    """The ablation table with ``pairs``, ``mean_low`` and ``mean_high``, ``p_beats``, counts and ``verdict``."""
    table = ablation_table(runs, metric, baseline, higher_is_better=declared.higher_is_better)
    differences, values = paired_differences(runs, metric, baseline), _values_by_arm(runs, metric, baseline)
    table["pairs"] = [len(differences.get(arm, ())) for arm in table.index]
    beats = {arm: probability_of_beating(values[arm], values[baseline]) for arm in differences}
    intervals = [mean_interval(values[arm]) for arm in table.index]
    table["mean_low"], table["mean_high"] = [i.low for i in intervals], [i.high for i in intervals]
    table["p_beats"] = [beats.get(arm, math.nan) for arm in table.index]
    for status in LOST:
        table[status] = (runs["status"] == status).groupby(runs["arm"]).sum().reindex(table.index).astype(int)
    comparisons = int(table["p"].notna().sum())
    directed = declared.higher_is_better is not None
    verdicts = [verdict(row, comparisons, directed=directed) for _, row in table.iterrows()]
    table["verdict"] = ["" if arm == baseline else text for arm, text in zip(table.index, verdicts, strict=True)]
    return table


def _rows(runs: pd.DataFrame, columns: list[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(runs[column] for column in columns), strict=True)) if columns else [()] * len(runs)
