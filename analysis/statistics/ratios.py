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
    """Return the table that also shows a ratio for each metric of ``printed``, a column of its runs.

    ``metric.NAME_ratio`` is the run's value divided by that of the reference arm's run of the same seed; NaN where one
    is missing, or the divisor is zero. The reference arm itself has 1. Where ratios were published, a column more has
    those.
    """
    runs, names = level.runs, [*level.extra]
    for metric, numbers in printed.items():
        column = metric_column(runs, metric)
        values = runs.set_index(["arm", "seed"])[column]
        references = [level.baseline if arm == level.baseline else level.reference(arm) for arm in runs["arm"]]
        divisors = values.reindex(list(zip(references, runs["seed"], strict=True))).to_numpy()
        ratio = runs[column].div(divisors).where(divisors != 0)
        name = f"{METRIC if column.startswith(METRIC) else ''}{metric}{RATIO}"
        runs = runs.assign(**{name: ratio})
        names.append(metric + RATIO)
        if numbers:
            found = [numbers.get((*level.levels.values(), arm)) for arm in runs["arm"]]
            runs = runs.assign(**{name + PAPER: [number.value if number else math.nan for number in found]})
            names.append(metric + RATIO + PAPER)
    return replace(level, runs=runs, extra=names)
