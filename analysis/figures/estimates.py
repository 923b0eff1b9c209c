"""Rows of estimates with their intervals, one below the other, as the gains, the forest and the effects draw them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from analysis.figures.drawing import BASELINE_COLOUR
from analysis.figures.naming import in_lines

LINE = 0.13  # inches, the height of a line of a name


class Estimate(NamedTuple):
    """One row of a panel."""

    name: str
    estimate: float
    low: float
    high: float
    colour: str = "black"
    note: str = ""  # the text at the right of the interval
    published: float = float("nan")  # the paper's value
    summary: bool = False  # drawn larger, below a line
    seeds: Sequence[float] = ()  # the value of each seed


def limits_of(rows: Iterable[Estimate]) -> tuple[float, float]:
    """Return limits of the axis that show every mark, and of intervals at most the marks' range on either side.

    With two seeds an interval is 18 sd wide.
    """
    marks, ends = [0.0], [0.0]
    for row in rows:
        marks += [value for value in (row.estimate, row.published, *row.seeds) if np.isfinite(value)]
        ends += [value for value in (row.low, row.high) if np.isfinite(value)]
    reach = max(marks) - min(marks)
    low, high = max(min(marks) - reach, min(marks + ends)), min(max(marks) + reach, max(marks + ends))
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad


def cut_text(rows: Sequence[Estimate]) -> str:
    """Return the sentence for a caption that explains the arrows; empty if no interval of the rows has one."""
    low, high = limits_of(rows)
    return " Arrow: the interval goes on." if any(row.low < low or row.high > high for row in rows) else ""


def row_names(rows: Iterable[Estimate], letters: int) -> dict[str, str]:
    """Return the label of each row, by the row's name, in lines of so many letters: of 120 in all, or a line more."""
    return in_lines([row.name for row in rows], letters, 120 // letters)


def draw_estimates(axis: Axes, rows: Sequence[Estimate], limits: tuple[float, float], letters: int) -> None:
    """Draw a diamond and a bar for each row, with an arrow where the bar goes on beyond the limits of the axis."""
    axis.set_xlim(*limits)
    axis.axvline(0, color=BASELINE_COLOUR, linewidth=1, zorder=1)
    for y, row in enumerate(rows):
        if np.isfinite(row.low):
            _draw_interval(axis, y, row)
        _draw_marks(axis, y, row)
        if row.note:
            axis.text(1.01, y, row.note, transform=axis.get_yaxis_transform(), va="center", fontsize=7.5)
    if rows[-1].summary:
        axis.axhline(len(rows) - 2.5, color="#bbbbbb", linewidth=0.8)
    names = row_names(rows, letters)
    axis.set_yticks(range(len(rows)), [names[row.name] for row in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)


def _draw_interval(axis: Axes, y: int, row: Estimate) -> None:
    """Draw the bar of a row, and an arrow at each end of the axis beyond which it goes on."""
    axis.plot([row.low, row.high], [y, y], color=row.colour, linewidth=2.6 if row.summary else 2)
    low, high = axis.get_xlim()
    inside = 0.012 * (high - low)
    if row.low < low:
        axis.plot(low + inside, y, "<", color=row.colour, markersize=6)
    if row.high > high:
        axis.plot(high - inside, y, ">", color=row.colour, markersize=6)


def _draw_marks(axis: Axes, y: int, row: Estimate) -> None:
    """Draw the estimate of a row, the paper's value and those of the seeds, as far as they are there."""
    if np.isfinite(row.estimate):
        size = 6.5 if row.summary else 5.5
        axis.plot(row.estimate, y, "D", color=row.colour, markersize=size, markeredgewidth=0, zorder=4)
    else:
        axis.text(0, y, "  no value", va="center", color="#777777", fontsize=8)
    if np.isfinite(row.published):
        axis.plot(row.published, y, "D", mfc="white", mec=row.colour, markersize=8, zorder=3)
    if len(row.seeds):
        below = np.full(len(row.seeds), y + 0.24)
        axis.plot(row.seeds, below, "o", color=row.colour, markersize=3.5, alpha=0.65, mew=0)
