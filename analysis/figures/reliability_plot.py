"""Reliability diagrams: accuracy by confidence, one panel per combination of factor levels, one line per arm."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import arms_of, names_of, panel_figure
from analysis.statistics.tables import LevelTable

PANEL = (3.4, 3.2)  # inches
FEWEST = 20  # the fewest predictions of a bin that is drawn: the share of fewer is noise


def reliability_points(result: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return ``bin``, ``predictions``, ``confidence`` and ``accuracy``, both percent, of every bin with predictions."""
    return [
        {"bin": index, "predictions": count, "confidence": 100 * confidence, "accuracy": 100 * accuracy}
        for index, (count, confidence, accuracy) in enumerate(result.get("reliability", ()))
        if count
    ]


def plot_reliability(study: str, points: pd.DataFrame, levels: Sequence[LevelTable], caption: str) -> Figure:
    """Draw every arm's accuracy by bin of confidence, pooled over seeds, between the lowest and the highest seed.

    The points are those of :func:`reliability_points`, and the tables, at least one, those of the ECE: the legends show
    its means.
    """

    def draw(axis: Axes, level: LevelTable) -> None:
        axis.plot([0, 100], [0, 100], ":", color="#999999", linewidth=1)
        for arm, mine, colour, line in arms_of(level, points):
            bins = _bins(mine)
            label = f"{names_of(level)[arm]}  {level.table['mean'][arm]:.1f}"
            axis.plot(bins["confidence"], bins["accuracy"], line, marker=".", color=colour, label=label)
            axis.fill_between(bins["confidence"], bins["low"], bins["high"], color=colour, alpha=0.12, linewidth=0)
        axis.set_xlim(0, 100)
        axis.set_ylim(0, 100)
        axis.set_aspect("equal")
        axis.legend(title="ECE, %", title_fontsize=7, fontsize=7, loc="upper left")

    labels = ("confidence, %", "accuracy, %")
    return panel_figure(study, levels, draw, size=PANEL, labels=labels, caption=caption, legend=False)


def _bins(points: pd.DataFrame) -> pd.DataFrame:
    """Return by bin ``confidence`` and ``accuracy`` of all seeds' predictions, and the ``low`` and ``high`` seed."""
    both, seeds = ["confidence", "accuracy"], points.groupby("bin")["accuracy"]
    total = points.groupby("bin")["predictions"].sum()
    means = points[both].mul(points["predictions"], axis=0).groupby(points["bin"]).sum().div(total, axis=0)
    return means.assign(low=seeds.min(), high=seeds.max()).astype(np.float64)[total >= FEWEST]
