"""Ratios: the cost of an arm as a multiple of its reference's, as K-image mixing prints time in its Table 2."""

import math
from collections.abc import Mapping
from dataclasses import replace

from analysis.records.published import Published
from analysis.records.runs import METRIC
from analysis.statistics.pairs import metric_column
from analysis.statistics.tables import LevelTable

RATIO = "_ratio"  # ends the name of such a column
PAPER = ", paper"  # ends that of the published ratio
Printed = Mapping[str, Published]  # by metric


def with_ratios(level: LevelTable, printed: Printed) -> LevelTable:
    """Return the table with a further column of its runs for each metric of ``printed``, ``metric.NAME_ratio``.

    It is the run's value divided by that of the reference arm's run of the same seed; NaN where one is missing, or the
    divisor is zero. The reference arm itself has 1. Where ratios were published, a column more has those.
    """
    runs = level.runs
    for metric, numbers in printed.items():
        column = metric_column(runs, metric)
        values = runs.set_index(["arm", "seed"])[column]
        references = [level.baseline if arm == level.baseline else level.reference(arm) for arm in runs["arm"]]
        divisors = values.reindex(list(zip(references, runs["seed"], strict=True))).to_numpy()
        ratio = runs[column].div(divisors).where(divisors != 0)
        name = f"{METRIC if column.startswith(METRIC) else ''}{metric}{RATIO}"
        runs = runs.assign(**{name: ratio})
        if numbers:
            found = [numbers.get((*level.levels.values(), arm)) for arm in runs["arm"]]
            runs = runs.assign(**{name + PAPER: [number.value if number else math.nan for number in found]})
    return replace(level, runs=runs)


def ratio_names(printed: Printed) -> tuple[str, ...]:
    """Return the names of the columns that ``with_ratios`` adds."""
    endings = {metric: (RATIO, RATIO + PAPER) if numbers else (RATIO,) for metric, numbers in printed.items()}
    return tuple(metric + ending for metric, each in endings.items() for ending in each)
