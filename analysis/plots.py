"""The figures of a study: gains over the baseline with their intervals, and training curves with seed bands.

Colours are those of Okabe and Ito (2008), told apart by readers with any common colour vision. An arm has the colour of
its place in the study, in every figure.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.style import context
from matplotlib.ticker import MaxNLocator

from analysis.captions import provenance_text, unit
from analysis.cells import metric_rule
from analysis.tables import LevelTable, higher_is_better, paired_differences

STYLE = Path(__file__).with_name("style.mplstyle")
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A900")
LINES = ("-", "--", ":")  # the second and third use of the palette
BASELINE_COLOUR = "#555555"
PANEL_WIDTH = 3.6  # inches, without the labels of the arms
ROW_HEIGHT = 0.42  # inches an arm
LETTER = 0.075  # inches, width of a letter of the labels


def arm_colours(arms: Sequence[str], baseline: str) -> dict[str, str]:
    """A colour for every arm, by its place among the arms of the study; the baseline is grey."""
    others = [arm for arm in arms if arm != baseline]
    return {baseline: BASELINE_COLOUR} | {arm: PALETTE[i % len(PALETTE)] for i, arm in enumerate(others)}


def plot_gains(study: str, levels: Sequence[LevelTable]) -> Figure:
    """A panel per combination of factor levels: every arm's gain, its 95 % interval, and a dot a seed.

    Args:
        study: its name.
        levels: at least one table.
    """
    with context(STYLE):
        arms = [arm for arm in levels[0].table.index if arm != levels[0].baseline]
        rows, columns, panel = _shape(len(levels))
        labels = max((len(_label(arm)) for arm in arms), default=1) * LETTER + 0.3
        width = columns * panel + labels
        low, high, cut = _limits(levels)
        caption = _caption(levels, width, cut)
        caption_height = 0.17 * (caption.count("\n") + 1) + 0.15  # inches
        foot = caption_height + 0.25
        height = rows * (ROW_HEIGHT * max(2, len(arms)) + 0.55) + 0.75 + foot
        layout = ConstrainedLayoutEngine(rect=(0, foot / height, 1, 1 - foot / height), wspace=0.04, hspace=0.06)
        figure = Figure(figsize=(width, height), layout=layout)
        for axis, level in zip(_panels(figure, len(levels)), levels, strict=True):
            axis.set_xlim(low, high)
            _draw_gains(axis, level, arms)
        figure.suptitle(study, x=0.01, ha="left", fontweight="bold")
        what = "gain over baseline" if higher_is_better(levels[0].metric) else "difference from baseline"
        # A layout engine puts supxlabel at the very bottom, on the caption.
        label = f"{what}, {unit(levels[0].metric)} (paired by seed)"
        figure.text(0.5 + labels / width / 2, caption_height / height, label, ha="center", va="bottom")
        figure.text(0.08 / width, 0.08 / height, caption, fontsize=7.5, color="#444444", va="bottom", linespacing=1.35)
        return figure


def plot_curves(study: str, curves: pd.DataFrame, levels: Sequence[LevelTable], metric: str = "test_top1") -> Figure:
    """A panel per combination of factor levels: the mean over seeds by epoch, in a band from the lowest to the highest.

    Args:
        study: its name.
        curves: columns ``arm``, one per factor, ``epoch``, ``value`` (:func:`analysis.runs.load_curves`).
        levels: at least one table.
        metric: what the values are.
    """
    with context(STYLE):
        rows, columns, panel = _shape(len(levels))
        figure = Figure(figsize=(columns * panel + 1.9, rows * 2.6 + 0.9), layout="constrained")
        axes = _panels(figure, len(levels))
        colours = arm_colours(list(levels[0].table.index), levels[0].baseline)
        for axis, level in zip(axes, levels, strict=True):
            here = np.ones(len(curves), dtype=bool)
            for factor, value in level.levels.items():
                here &= (curves[factor] == value).to_numpy()
            for place, (arm, colour) in enumerate(colours.items()):
                style = LINES[(place - 1) // len(PALETTE) % len(LINES)] if place else "-"
                _draw_curve(axis, curves[here & (curves["arm"] == arm)], _label(arm), colour, style)
            axis.set_title(level.name)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
        figure.suptitle(study, x=0.01, ha="left", fontweight="bold")
        figure.supxlabel("epoch; line: mean over seeds, band: lowest to highest seed", fontsize=9)
        names = {"test_top1": "top-1 accuracy on the test set, %", "train_loss": "training loss"}
        figure.supylabel(names.get(metric, metric), fontsize=9)
        return figure


def add_caption(figure: Figure, caption: str) -> SubFigure:
    """Write a caption at the foot of a figure with constrained layout; the part above it, for everything else."""
    width, height = figure.get_size_inches()
    text = textwrap.fill(caption, int(width / 0.062))
    foot = 0.16 * (text.count("\n") + 1) + 0.1  # inches
    upper, lower = np.ravel(figure.subfigures(2, 1, height_ratios=[height - foot, foot], squeeze=False))
    lower.text(0.01, 0.98, text, fontsize=7.5, color="#444444", va="top", linespacing=1.35)
    return upper


def save(figure: Figure, stem: Path, endings: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write a figure as ``stem.png`` and ``stem.pdf``; returns the files."""
    files = [stem.with_suffix(f".{ending}") for ending in endings]
    with context(STYLE):  # fonts of a PDF are chosen when it is written
        for file in files:
            figure.savefig(file)
    return files


def _shape(panels: int) -> tuple[int, int, float]:
    """Rows, columns, and the width of a panel in inches: a single one is wide enough for its axis label."""
    columns = min(panels, 3)
    return math.ceil(panels / columns), columns, PANEL_WIDTH if columns > 1 else 5.0


def _panels(figure: Figure, count: int) -> list[Axes]:
    """So many axes that share their scales; the lowest of every column has the labels."""
    rows, columns, _ = _shape(count)
    axes = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten())
    for place, axis in enumerate(axes):
        axis.set_visible(place < count)
        axis.tick_params(labelbottom=place + columns >= count)
    return axes[:count]


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
    axis.set_yticks(range(len(arms)), [_label(arm) for arm in arms])
    axis.set_ylim(len(arms) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    axis.set_title(level.name)


def _limits(levels: Sequence[LevelTable]) -> tuple[float, float, bool]:
    """Ends of the axis, and whether they cut an interval.

    Every dot is shown, and of the intervals at most the dots' range on either side: with two seeds one is 18 sd wide.
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


def _label(arm: str) -> str:
    return textwrap.shorten(str(arm), 30, placeholder="…")


def _draw_curve(axis: Axes, curve: pd.DataFrame, arm: str, colour: str, style: str) -> None:
    by_epoch = curve.groupby("epoch")["value"].agg(["mean", "min", "max"])
    axis.plot(by_epoch.index, by_epoch["mean"], style, color=colour, label=arm)
    axis.fill_between(by_epoch.index, by_epoch["min"], by_epoch["max"], color=colour, alpha=0.15, linewidth=0)


def _caption(levels: Sequence[LevelTable], width: float, cut: bool) -> str:
    """Lines that fit in ``width`` inches."""
    rule = metric_rule(*levels)
    key = "Diamond: mean difference; bar: paired t interval, 95 %, each arm by itself; dot: one seed"
    key += "; arrow: the interval goes on." if cut else "."
    return textwrap.fill(f"{rule[0].upper()}{rule[1:]}. {key} {provenance_text(*levels)}", int(width / 0.06))
