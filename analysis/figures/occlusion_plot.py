"""The figure of ``occlusion.py``: an image that loses its patches, and under it the curves of every arm."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures import drawing
from analysis.figures.tiles import show_image
from analysis.statistics.tables import LevelTable
from analysis.words.cells import interval_text
from mixlab.spec.metric import decimals

STRIP = 0.95  # inches, the height of the image's strip
PANEL = (4.0, 2.9)  # inches


def plot_occlusion(
    study: str,
    curves: pd.DataFrame,
    levels: Sequence[LevelTable],
    strip: Sequence[tuple[float, Tensor]],
    caption: str,
    chance: float,
) -> Figure:
    """Draw one panel per table: accuracy by share of masked patches, with a band over seeds.

    Args:
        curves: columns ``arm``, ``seed``, one per factor, ``masked`` and ``accuracy``, both percent.
        levels: at least one table of the areas under the curves, which the legends show.
        strip: shares in percent, and the occluded image (C, H, W) of each, in [0, 1].
        chance: the accuracy of a guess, in percent.
    """
    rows, columns = drawing.shape(len(levels))
    width = max(columns * PANEL[0], 7.0)
    height = 0.35 + STRIP + rows * PANEL[1] + drawing.caption_height(caption, width)
    with drawing.titled(study, caption, (width, height)) as (figure, upper):
        parts = upper.subfigures(2, 1, height_ratios=[STRIP, rows * PANEL[1]], squeeze=False)
        above, below = np.ravel(parts)
        for axis, (share, image) in zip(above.subplots(1, len(strip), squeeze=False)[0], strip, strict=True):
            show_image(axis, image, f"{share:g} %")
            axis.set_axis_off()
        titles = drawing.distinct([level.name for level in levels], 40)
        for axis, level in zip(drawing.panels(below, len(levels)), levels, strict=True):
            _draw_panel(axis, curves, level, chance)
            axis.set_title(titles[level.name])
        below.supxlabel(f"masked patches, %; {drawing.line_and_band(curves)}", fontsize=9)
        below.supylabel("top-1 accuracy on the test set, %", fontsize=9)
        return figure


def _draw_panel(axis: Axes, curves: pd.DataFrame, level: LevelTable, chance: float) -> None:
    axis.axhline(chance, color="#999999", linewidth=1, linestyle=":", zorder=1)
    for arm, points, colour, line in drawing.arms_of(level, curves):
        drawing.draw_band(axis, points, "masked", "accuracy", _label(arm, level), colour, line)
    axis.set_xlim(0, 100)
    axis.set_ylim(bottom=0)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(title="area under the curve, gain [95 %]", title_fontsize=7, fontsize=7, loc="upper right")
    else:
        axis.text(0.5, 0.5, "no network", transform=axis.transAxes, ha="center", color="#777777")


def _label(arm: str, level: LevelTable) -> str:
    """Return the arm, the area under its curve, and the interval of its gain over the baseline."""
    row = level.table.loc[arm]
    label = f"{drawing.names_of(level, 24)[arm]}  {row['mean']:.1f}"
    if pd.isna(row["gain"]):
        return label
    interval = "" if pd.isna(row["gain_low"]) else f" {interval_text(row['gain_low'], row['gain_high'], 1)}"
    return f"{label}, {decimals(row['gain'], 1, '+')}{interval}"
