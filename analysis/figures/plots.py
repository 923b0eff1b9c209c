"""The figures of a study: gains over the baseline with their intervals, and training curves with seed bands."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.style import context
from matplotlib.ticker import MaxNLocator

from analysis.figures.drawing import (
    BASELINE_COLOUR,
    STYLE,
    arm_colours,
    arms_of,
    draw_band,
    line_and_band,
    panel_figure,
    panels,
    plain,
    shape,
)
from analysis.statistics.pairs import paired_differences
from analysis.statistics.tables import LevelTable
from analysis.words.captions import metric_text, provenance_text, unit
from analysis.words.cells import metric_rule

PANEL_WIDTH = 3.6  # inches, without the labels of the arms
ROW_HEIGHT = 0.42  # inches, the height of an arm
LETTER = 0.075  # inches, width of a letter of the labels


def plot_gains(study: str, levels: Sequence[LevelTable]) -> Figure:
    """Draw one panel per combination of factor levels: every arm's gain, its 95 % interval, and one dot per seed."""
    with context(STYLE):
        arms = [arm for arm in levels[0].table.index if arm != levels[0].baseline]
        rows, columns, panel = _shape(len(levels))
        labels = max((len(plain(arm)) for arm in arms), default=1) * LETTER + 0.3
        width = columns * panel + labels
        low, high, cut = _limits(levels)
        caption = _caption(levels, width, cut)
        caption_height = 0.17 * (caption.count("\n") + 1) + 0.15  # inches
        foot = caption_height + 0.25
        height = rows * (ROW_HEIGHT * max(2, len(arms)) + 0.55) + 0.75 + foot
        layout = ConstrainedLayoutEngine(rect=(0, foot / height, 1, 1 - foot / height), wspace=0.04, hspace=0.06)
        figure = Figure(figsize=(width, height), layout=layout)
        for axis, level in zip(panels(figure, len(levels)), levels, strict=True):
            axis.set_xlim(low, high)
            _draw_gains(axis, level, arms)
        figure.suptitle(plain(study, 80), x=0.01, ha="left", fontweight="bold")
        declared = levels[0].declared
        others = set(levels[0].against.values()) - {levels[0].baseline}
        reference = "the arm it is compared with" if others else "baseline"
        what = f"gain over {reference}" if declared.higher_is_better else f"difference from {reference}"
        # A layout engine puts supxlabel at the very bottom, on the caption.
        label = f"{what}, {unit(declared)} (paired by seed)"
        figure.text(0.5 + labels / width / 2, caption_height / height, label, ha="center", va="bottom")
        figure.text(0.08 / width, 0.08 / height, caption, fontsize=7.5, color="#444444", va="bottom", linespacing=1.35)
        return figure


def plot_curves(study: str, curves: pd.DataFrame, levels: Sequence[LevelTable]) -> Figure:
    """Draw one panel per table: the mean over seeds by epoch, in a band from the lowest to the highest seed.

    Args:
        curves: from :func:`analysis.records.runs.load_curves`, for the metric that the tables compare by a rule.
    """

    def draw(axis: Axes, level: LevelTable) -> None:
        for arm, mine, colour, line in arms_of(level, curves):
            draw_band(axis, mine, "epoch", "value", plain(arm), colour, line)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))

    metric = metric_text(levels[0].declared, levels[0].declared.name, ())
    caption = f"{line_and_band(curves).capitalize()}. {provenance_text(*levels)}"
    return panel_figure(study, levels, draw, size=(PANEL_WIDTH, 2.6), labels=("epoch", metric), caption=caption)


def _shape(count: int) -> tuple[int, int, float]:
    """Return rows, columns, and the width of a panel in inches: a single one is wide enough for its axis label."""
    rows, columns = shape(count)
    return rows, columns, PANEL_WIDTH if columns > 1 else 5.0


def _draw_gains(axis: Axes, level: LevelTable, arms: Sequence[str]) -> None:
    colours = arm_colours(list(level.table.index), level.baseline)
    differences = paired_differences(level.runs, level.metric, level.baseline)
    axis.axvline(0, color=BASELINE_COLOUR, linewidth=1, zorder=1)
    for y, arm in enumerate(arms):
        row = level.table.loc[arm]
        if pd.isna(row["gain"]):
            axis.text(0, y, "  no value", va="center", color="#777777", fontsize=8)
            continue
        axis.plot([row["gain_low"], row["gain_high"]], [y, y], color=colours[arm], linewidth=2.2, solid_capstyle="butt")
        for end, (edge, arrow) in enumerate(zip(axis.get_xlim(), "<>", strict=True)):
            beyond = row["gain_low"] < edge if end == 0 else row["gain_high"] > edge
            if beyond:
                inside = edge + np.ptp(axis.get_xlim()) * (0.012 if end == 0 else -0.012)
                axis.plot(inside, y, arrow, color=colours[arm], markersize=7)
        axis.plot(row["gain"], y, "D", color=colours[arm], markersize=6, markeredgecolor="white", zorder=4)
        seeds = differences[arm].to_numpy()
        axis.plot(seeds, np.full(len(seeds), y + 0.24), "o", color=colours[arm], markersize=3.5, alpha=0.65, mew=0)
    axis.set_yticks(range(len(arms)), [plain(arm) for arm in arms])
    axis.set_ylim(len(arms) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    axis.set_title(plain(level.name, 40))


def _limits(levels: Sequence[LevelTable]) -> tuple[float, float, bool]:
    """Return the ends of the axis, and whether they cut an interval.

    Every dot is shown, but at most the dots' range of an interval on either side: with two seeds one is 18 sd wide.
    """
    dots, ends = [0.0], [0.0]
    for level in levels:
        for differences in paired_differences(level.runs, level.metric, level.baseline).values():
            dots += list(differences)
        ends += list(level.table[["gain_low", "gain_high"]].to_numpy().ravel())
    reach = max(max(dots) - min(dots), 1e-6)
    low = max(min(dots) - reach, min(min(dots), np.nanmin(ends)))
    high = min(max(dots) + reach, max(max(dots), np.nanmax(ends)))
    pad = 0.05 * (high - low) or 1.0
    return low - pad, high + pad, bool(np.nanmin(ends) < low - pad or np.nanmax(ends) > high + pad)


def _caption(levels: Sequence[LevelTable], width: float, cut: bool) -> str:
    """Return the caption in lines that fit in ``width`` inches."""
    rule = metric_rule(*levels)
    key = "Diamond: mean difference; bar: paired t interval, 95 %, each arm by itself; dot: one seed"
    key += "; arrow: the interval goes on." if cut else "."
    if max(level.table["pairs"].max() for level in levels) < 2:
        key = "Diamond and dot: the difference of one seed, which has no interval."
    return textwrap.fill(f"{rule[0].upper()}{rule[1:]}. {key} {provenance_text(*levels)}", int(width / 0.06))
