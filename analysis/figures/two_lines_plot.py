"""Two lines for each arm, solid and dashed: ``out_of_distribution.py`` and ``mixed_accuracy.py``."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import arms_of, draw_band, names_of, panel_figure
from analysis.statistics.tables import LevelTable

PANEL = (3.6, 2.7)  # inches
STYLES = ("-", "--")


def plot_two_lines(
    study: str,
    points: pd.DataFrame,
    levels: Sequence[LevelTable],
    caption: str,
    *,
    parts: tuple[str, str],
    labels: tuple[str, str],
    width: float,
) -> Figure:
    """Draw one panel per table, with a solid and a dashed line for each arm, which are the two ``parts``.

    The points have the columns of the factors, ``arm``, ``seed``, ``part``, ``x``, and ``y`` in percent. The horizontal
    axis goes from 0 to ``width``.
    """

    def draw(axis: Axes, level: LevelTable) -> None:
        for arm, mine, colour, _ in arms_of(level, points):
            for part, style in zip(parts, STYLES, strict=True):
                label = names_of(level)[arm] if part == parts[0] else "_dashed"
                draw_band(axis, mine[mine["part"] == part], "x", "y", label, colour, style)
        axis.set_xlim(0, width)
        axis.set_ylim(0, 101)

    return panel_figure(study, levels, draw, size=PANEL, labels=labels, caption=caption)
