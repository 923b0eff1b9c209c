"""The figure of ``out_of_distribution.py``: how many images of known classes, and of none, a network is sure of."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import arms_of, draw_band, panel_figure, plain
from analysis.statistics.tables import LevelTable
from trainables.datasets.evaluation_set import INSIDE, OUTSIDE

PANEL = (3.6, 2.7)  # inches
STYLES = {INSIDE: "-", OUTSIDE: "--"}


def plot_confidence(study: str, points: pd.DataFrame, levels: Sequence[LevelTable], caption: str) -> Figure:
    """Draw one panel per combination of factor levels: the share of images by the confidence that they reach.

    Args:
        study: the name of the study.
        points: columns of the factors, ``arm``, ``seed``, ``part``, ``confidence`` and ``share``, both percent.
        levels: at least one table of the AUPR.
        caption: what was measured.
    """

    def draw(axis: Axes, level: LevelTable) -> None:
        for arm, mine, colour, _ in arms_of(level, points):
            for part, style in STYLES.items():
                label = plain(arm) if part == INSIDE else "_of no known class"
                draw_band(axis, mine[mine["part"] == part], "confidence", "share", label, colour, style)
        axis.set_xlim(0, 100)
        axis.set_ylim(0, 101)

    labels = ("confidence, %", "images at least so confident, %")
    return panel_figure(study, levels, draw, size=PANEL, labels=labels, caption=caption)
