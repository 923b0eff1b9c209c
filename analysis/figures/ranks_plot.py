"""The critical-difference diagram of Demšar (JMLR 2006): mean ranks of many arms over the tables of a study."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import BASELINE_COLOUR, colours_of, names_of, titled
from analysis.statistics.ranks import Ranking, ranking_of
from analysis.statistics.tables import LevelTable
from analysis.words.captions import capitalised, count_text, provenance_text
from analysis.words.cells import metric_rule, p_text

WIDTH = 7.5  # inches
ROW = 0.24  # inches, the height of a name
GROUP = 0.5  # rows, between two bars
MOST_NUMBERS = 20  # on the line of ranks


def plot_ranks(study: str, levels: Sequence[LevelTable]) -> Figure | None:
    """Draw the mean rank of every arm, and a bar below those that do not differ; None with few arms or one table."""
    found = ranking_of(levels)
    if found is None:
        return None
    colours, names = colours_of(levels[0]), names_of(levels[0], 24)
    rows = (len(found.ranks) + 1) // 2
    bars = 1 + GROUP * len(found.groups())  # rows
    with titled(study, _caption(found, levels), (WIDTH, ROW * (rows + bars) + 2.0)) as (figure, upper):
        _draw(upper.subplots(), found, colours, names, bars)
        return figure


def _draw(axis: Axes, found: Ranking, colours: dict[str, str], names: dict[str, str], bars: float) -> None:
    """Draw the ranks on a line, the best at the left, and the names in two columns below: y is in rows."""
    count = len(found.ranks)
    half = (count + 1) // 2
    margin = 0.45 * (count - 1)
    axis.set_xlim(1 - margin, count + margin)
    axis.set_ylim(bars + half + 0.2, -2.2)
    axis.axis("off")
    axis.plot([1, count], [0, 0], color=BASELINE_COLOUR, linewidth=1.2)
    for rank in range(1, count + 1):
        axis.plot([rank, rank], [0, -0.25], color=BASELINE_COLOUR, linewidth=1.2)
    for rank in range(1, count + 1, math.ceil(count / MOST_NUMBERS)):
        axis.text(rank, -0.4, str(rank), ha="center", va="bottom", fontsize=8)
    end = min(1 + found.difference, count)
    axis.plot([1, end], [-1.5, -1.5], color="black", linewidth=1.5, marker="|", markersize=7)
    cut = "" if found.able else ", longer than the axis"
    axis.text((1 + end) / 2, -1.6, f"critical difference {found.difference:.2f}{cut}", ha="center", va="bottom", size=8)
    for index, (arm, rank) in enumerate(found.ranks.items()):
        left = index < half
        row = bars + (index if left else count - 1 - index)
        edge = 1 - 0.05 * margin if left else count + 0.05 * margin
        colour, name = colours[str(arm)], names[str(arm)]
        axis.plot([rank, rank, edge], [0, row, row], color=colour, linewidth=1)
        text = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        outside = edge + (-0.02 if left else 0.02) * margin
        axis.text(outside, row, text, ha="right" if left else "left", va="center", fontsize=8.5)
    for index, group in enumerate(found.groups()):
        y = 0.5 + GROUP * index
        ends = [found.ranks[group[0]] - 0.04, found.ranks[group[-1]] + 0.04]
        axis.plot(ends, [y, y], color="black", linewidth=3.5, solid_capstyle="round", zorder=4)


def _caption(found: Ranking, levels: Sequence[LevelTable]) -> str:
    few = f" So few tables cannot tell any two of {len(found.ranks)} arms apart, however they rank."
    return (
        f"{capitalised(metric_rule(*levels))}: mean rank over n = {count_text(found.tables, 'table')}, of which each "
        "is one number for every arm, its mean over seeds; 1 is the best. Arms that one bar joins differ by less than "
        "the critical difference (Nemenyi, 5 % over all pairs; Demšar 2006)."
        f"{'' if found.able else few} Friedman's test that all are alike "
        f"(Iman and Davenport): p {p_text(found.p)}. {provenance_text(*levels)}"
    )
