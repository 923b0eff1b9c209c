"""The loss along a line, and over a plane, around the minimum of every arm: ``loss_landscape.py``, ``curvature.py``."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from analysis.figures.drawing import (
    arms_of,
    colours_of,
    distinct,
    draw_band,
    log_ticks,
    names_of,
    of_level,
    panel_figure,
    titled,
)
from analysis.statistics.tables import LevelTable
from trainables.robustness.landscape import REACH

PANEL = (3.4, 2.6)  # inches, the size of a panel with lines
TILE = 1.75  # inches, the side of a plane
CONTOURS = 12
X_LABEL = "step along a random direction, filter lengths"
Y_LABEL = "loss on test images, nats"
PLANE_LABELS = ("step along the first direction, filter lengths", "step along the second")


def plot_line(
    study: str,
    points: pd.DataFrame,
    levels: Sequence[LevelTable],
    caption: str,
    *,
    steps: Sequence[float] = (-REACH, -REACH / 2, 0, REACH / 2, REACH),
    label: str = X_LABEL,
) -> Figure:
    """Draw one panel per table: every arm's mean loss by step, between lowest and highest seed.

    The points have the columns of the factors, ``arm``, ``seed``, ``step`` and ``loss``; ``steps`` are the ticks of the
    horizontal axis, and ``label`` says what a step is.
    """
    ticks = log_ticks(float(points["loss"].min()), float(points["loss"].max()))

    def draw(axis: Axes, level: LevelTable) -> None:
        for arm, mine, colour, line in arms_of(level, points):
            draw_band(axis, mine, "step", "loss", names_of(level)[arm], colour, line)
        axis.set_yscale("log")
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_xticks(steps, [f"{step:g}" for step in steps])
        axis.minorticks_off()

    return panel_figure(study, levels, draw, size=PANEL, labels=(label, Y_LABEL), caption=caption)


def plot_plane(
    study: str, points: pd.DataFrame, levels: Sequence[LevelTable], caption: str, labels: tuple[str, str] = PLANE_LABELS
) -> Figure:
    """Draw a row of contour maps per table, one per arm, all on one scale of colours.

    The points have the columns of the factors, ``arm``, ``first``, ``second`` (steps, which ``labels`` name) and
    ``loss``, of one seed.
    """
    reach = float(points["first"].max())
    arms = list(levels[0].table.index)
    colours = colours_of(levels[0])
    low, high = max(float(points["loss"].min()), 1e-9), float(points["loss"].max())
    steps = np.geomspace(low, max(high, low * 1.01), CONTOURS)
    size = (max(len(arms) * TILE, 4.5) + 1.2, len(levels) * (TILE + 0.25) + 1.2)
    with titled(study, caption, size) as (figure, upper):
        axes = upper.subplots(len(levels), len(arms), sharex=True, sharey=True, squeeze=False)
        drawn = None
        for line, level in zip(axes, levels, strict=True):
            titles = {arm: f"{level.name}, {arm}" if level.name and arm == arms[0] else arm for arm in arms}
            names = distinct(titles.values())
            for axis, arm in zip(line, arms, strict=True):
                here = of_level(points[points["arm"] == arm], level)
                axis.set_title(names[titles[arm]], fontsize=7.5, color=colours[arm])
                axis.set_box_aspect(1)
                axis.set_xticks([-reach, 0, reach])
                axis.set_yticks([-reach, 0, reach])
                if here.empty:
                    axis.text(0.5, 0.5, "no network", transform=axis.transAxes, ha="center", color="#777777")
                    continue
                table = here.pivot(index="second", columns="first", values="loss")
                values = table.columns, table.index, table, steps
                drawn = axis.contourf(*values, cmap="viridis", norm=LogNorm(low, steps[-1]))
                axis.contour(*values, colors="white", linewidths=0.4)
                axis.plot(0, 0, "+", color="white", markersize=6)
        if drawn is not None:
            ticks = log_ticks(low, steps[-1])
            bar = upper.colorbar(drawn, ax=list(axes.flat), label=Y_LABEL, shrink=0.9, ticks=ticks)
            bar.ax.set_yticklabels([f"{tick:g}" for tick in ticks])
            bar.ax.minorticks_off()
        upper.supxlabel(f"{labels[0]}; cross: the network", fontsize=9)
        upper.supylabel(labels[1], fontsize=9)
        return figure
