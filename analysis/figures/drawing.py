"""The style that the figures of the analysis share: arms' looks, one panel per table, bands over seeds.

Colours are those of Okabe and Ito (2008), with the indigo of Tol (2021) in place of a yellow that is hard to see on
white. Readers who lack the red or the green cones tell them apart; marks help those who see in grey. An arm has the
colour and the mark of its position in the study, in every figure: no two of the first 119 arms have both in common, and
arms that follow each other differ in both. Seventeen arms differ in their marks alone, of which seven are hollow, so
that a figure can also be read in grey.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import MaxNLocator

from analysis.figures.captioned import COLUMN, LETTER, LINE, TEXT, titled
from analysis.figures.letters import in_letters
from analysis.figures.naming import distinct, in_lines
from analysis.records.runs import at_levels
from analysis.statistics.tables import LevelTable
from analysis.words.line_breaks import wrapped

Look = tuple[str, MarkerStyle]  # the colour and the mark of an arm
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#332288")
BASELINE_COLOUR = "#555555"
# Their number and that of the colours have no common divisor. Crosses and stars are too fine to be hollow.
MARKS = [*(MarkerStyle(shape, "full") for shape in "osD^vP*X<>"), *(MarkerStyle(shape, "none") for shape in "<>osD^v")]
MOST_COLUMNS = 3  # the most columns of panels
MOST_TICKS = 7  # on a logarithmic axis
PANEL = 1.9  # inches, the height of a panel
SAMPLE, ENTRY = 0.45, 0.19  # inches, the width of an arm's look in a legend and the height of an arm in it
TITLE, LABEL = 0.07, 10  # inches, the width of a letter of a title; letters of an axis label to an inch of a panel
NAMES = 1.3  # inches, the width of the names that may be beside the panels
NO_VALUE = ": no value"
MARKED = 8  # points of a line that have the mark of its arm, at most


def arm_colour(index: int) -> str:
    """Return the colour of the arm at a position in the study, 0 for the baseline."""
    return PALETTE[(index - 1) % len(PALETTE)] if index else BASELINE_COLOUR


def arm_mark(index: int) -> MarkerStyle:
    """Return the mark of the arm at a position in the study, 0 for the baseline."""
    return MARKS[index % len(MARKS)]


def in_order(level: LevelTable) -> list[str]:
    """Return the arms of the study of a table with the baseline first, wherever the study has it."""
    return [level.baseline, *(arm for arm in level.arms if arm != level.baseline)]


def colours_of(level: LevelTable) -> dict[str, str]:
    """Return the colour of every arm of the study of a table, by its position in it; the baseline is grey."""
    return {arm: arm_colour(index) for index, arm in enumerate(in_order(level))}


def shape(count: int, most: int = MOST_COLUMNS) -> tuple[int, int]:
    """Return the fewest rows for ``count`` panels, of which ``most`` fit into one, and the fewest columns for these."""
    rows = math.ceil(count / most)
    return rows, math.ceil(count / rows)


def panels(
    figure: Figure | SubFigure, count: int, labels: tuple[str, str] = ("", ""), most: int = MOST_COLUMNS
) -> list[Axes]:
    """Return ``count`` axes that share their scales; the outer ones have the numbers and the labels of x and y."""
    rows, columns = shape(count, most)
    axes = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten())
    for index, axis in enumerate(axes):
        axis.set_visible(index < count)
        axis.tick_params(labelbottom=index + columns >= count)
        axis.set_xlabel(labels[0] if index + columns >= count else "")
        axis.set_ylabel("" if index % columns else labels[1])
    return axes[:count]


def draw_band(axis: Axes, points: pd.DataFrame, x: str, y: str, label: str, look: Look, line: str = "-") -> None:
    """Draw the mean over seeds of ``y`` by ``x``, in a band over seeds; a single ``x`` has a mark and a bar instead.

    Some points of the line have the mark of the arm, other points for another arm.
    """
    colour, mark = look
    by_x = points.groupby(x)[y].agg(["mean", "min", "max"])
    alone = len(by_x) == 1
    every = math.ceil(len(by_x) / MARKED)
    (drawn,) = axis.plot(by_x.index, by_x["mean"], "" if alone else line, color=colour, label=label)
    drawn.set(marker=mark, markersize=6 if alone else 4, markevery=(MARKS.index(mark) % every, every))
    if alone:
        axis.vlines(by_x.index, by_x["min"], by_x["max"], color=colour, alpha=0.5)
    else:
        axis.fill_between(by_x.index, by_x["min"], by_x["max"], color=colour, alpha=0.15, linewidth=0)


def line_and_band(points: pd.DataFrame, line: str = "mean over seeds", x: str = "") -> str:
    """Return in words what :func:`draw_band` drew of points with columns ``arm`` and ``seed``; one seed has no band.

    With the column ``x``, a single value of which was drawn as a mark and a bar, the words are of these.
    """
    drawn, spread = ("mark", "bar") if x and points[x].nunique() == 1 else ("line", "band")
    several = (points.groupby("arm")["seed"].nunique() > 1).any()
    return f"{drawn}: {line}, {spread}: lowest to highest seed" if several else f"{drawn}: one seed, so no {spread}"


def whole_ticks(axis: Axes, most: int = 10) -> None:
    """Put the ticks of the x axis, ``most`` of them or a few less, at whole numbers, even where there is only one."""
    axis.xaxis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))


def log_ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Return 1, 2, 3 or 5 times powers of ten between two ends; where fewer than two fit, even steps of one.

    Where those are too many to be read, they are 1 and 3 times powers of ten, or these alone. They are for a
    logarithmic axis, whose own ticks matplotlib writes as formulas, which the style does not read.
    """
    low, high = (max(end, 1e-9) for end in (low, high))  # an end of exactly 0 has no logarithm
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 3, 5), (1, 3), (1,)):
        found = [t for power in powers for digit in digits if low <= (t := digit * 10.0**power) <= high]
        if len(found) <= most:
            break
    if len(found) > 1:
        return found
    even = (float(f"{tick:.6g}") for tick in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high))
    return list(dict.fromkeys(tick for tick in even if low <= tick <= high)) or [low]


def names_of(level: LevelTable) -> dict[str, str]:
    """Return the name of every arm of the study of a table as figures show it, in which no two are alike."""
    return {arm: name + level.role(arm) for arm, name in distinct(level.arms, 90).items()}


def names_in_lines(level: LevelTable, letters: int) -> dict[str, str]:
    """Return :func:`names_of` a table in lines of so many letters."""
    names = names_of(level)
    shown = in_lines(names.values(), letters, 4)
    return {arm: shown[name] for arm, name in names.items()}


def panel_figure(
    study: str,
    levels: Sequence[LevelTable],
    draw: Callable[[Axes, LevelTable], None],
    *,
    height: float,
    labels: tuple[str, str],
    caption: str,
    legend: Sequence[str] | None = None,
    most: int = MOST_COLUMNS,
) -> Figure:
    """Return a figure with one panel per table, all on one scale, and its caption below; one panel fits a column.

    Args:
        draw: draws the panel of a table.
        height: the height of a panel in inches.
        labels: the labels of the x and the y axis.
        legend: the names of the arms in the legend below, by default those of all; it says which has no value.
        most: the most panels in a row; a figure of rows of one is as wide as the text, for legends beside the panels.
    """
    names = list(names_of(levels[0]).values() if legend is None else legend)
    rows, columns = shape(len(levels), most)
    width = COLUMN if columns == 1 and most > 1 else TEXT
    shown = in_lines(names, 30)
    titles = in_lines([level.name for level in levels], int((width - NAMES) / columns / TITLE))
    panel = height + LINE * max(title.count("\n") for title in titles.values())
    x, y = _in_width(labels[0], width / columns * LABEL), _in_width(labels[1], height / LETTER)
    below = LINE * x.count("\n") + key_height(shown.values(), width) + 0.45
    with titled(study, caption, (width, rows * panel + below)) as (figure, upper):
        axes = panels(upper, len(levels), (x, y), most)
        for axis, level in zip(axes, levels, strict=True):
            draw(axis, level)
            axis.set_title(titles[level.name])
            if not axis.has_data():
                axis.text(0.5, 0.5, "no value", transform=axis.transAxes, ha="center", color="#777777")
        if names:
            drawn: dict[str, Any] = {}
            for axis in axes:
                drawn |= {name: handle for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)}
            entries = [shown[name] + ("" if name in drawn else NO_VALUE) for name in names]
            key_below(upper, [drawn.get(name, Line2D([], [])) for name in names], entries, width)
        return figure


def _in_width(label: str, letters: float) -> str:
    return "\n".join(wrapped(in_letters(label), int(letters)))


def key_below(figure: Figure | SubFigure, handles: Sequence[Any], names: Collection[str], width: float) -> None:
    """Put a legend below the panels of a figure of a width in inches, in as many columns as fit."""
    columns = _key_columns(names, width)
    figure.legend(handles, names, loc="outside lower left", ncols=columns, columnspacing=1)


def key_height(names: Collection[str], width: float) -> float:
    """Return the height in inches of a legend as :func:`key_below` draws it."""
    rows = math.ceil(len(names) / _key_columns(names, width))
    return rows * (ENTRY + LINE * max((name.count("\n") for name in names), default=0))


def _key_columns(names: Collection[str], width: float) -> int:
    wide = SAMPLE + LETTER * max((len(line) for name in names for line in name.split("\n")), default=0)
    return max(1, min(len(names), int(width / wide)))


def arms_of(level: LevelTable, points: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, Look]]:
    """Yield every arm of a table that has points, its points and its look."""
    of_table = at_levels(points, level.levels)
    for index, arm in enumerate(in_order(level)):
        mine = of_table[of_table["arm"] == arm]
        if len(mine):
            yield arm, mine, (arm_colour(index), arm_mark(index))


def legend_beside(axis: Axes, title: str) -> None:
    """Put a legend of a panel's own to its right, where it covers no line."""
    axis.legend(title=title, title_fontsize=7, fontsize=7, loc="upper left", bbox_to_anchor=(1.04, 1), borderaxespad=0)


def height_beside(height: float, levels: Sequence[LevelTable], label: Callable[[str, LevelTable], str]) -> float:
    """Return the height in inches of a panel beside its legend, which has a ``label`` for every arm of a table."""
    further = LINE * max(sum(label(arm, level).count("\n") for arm in level.table.index) for level in levels)
    return max(height, ENTRY * (len(levels[0].arms) + 2) + further)
