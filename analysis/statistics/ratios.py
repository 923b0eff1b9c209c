"""Ratios: the cost of an arm as a multiple of its reference's, as K-image mixing prints time in its Table 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.records.runs import METRIC
from analysis.statistics.pairs import metric_column
from analysis.statistics.tables import LevelTable

RATIO = "_ratio"  # ends the name of such a column


def with_ratios(level: LevelTable, metrics: Sequence[str]) -> LevelTable:
    """Return the table with a further column of its runs for each metric, ``metric.NAME_ratio``.

    It is the run's value divided by that of the reference arm's run of the same seed; NaN where one is missing, or
    the divisor is zero. The reference arm itself has 1.

    Args:
        level: the table.
        metrics: the logged names of the metrics, such as ``step_seconds``.
    """
    runs = level.runs
    for metric in metrics:
        column = metric_column(runs, metric)
        values = runs.set_index(["arm", "seed"])[column]
        references = [level.baseline if arm == level.baseline else level.reference(arm) for arm in runs["arm"]]
        divisors = values.reindex(list(zip(references, runs["seed"], strict=True))).to_numpy()
        ratio = runs[column].div(divisors).where(divisors != 0)
        runs = runs.assign(**{f"{METRIC if column.startswith(METRIC) else ''}{metric}{RATIO}": ratio})
    return replace(level, runs=runs)
