"""A legend of every panel's own, with a number for each arm, beside the panel, where it covers no line."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes

from analysis.figures.drawing import ENTRY, LETTER
from analysis.statistics.tables import LevelTable


def legend_beside(axis: Axes, title: str) -> None:
    """Put the legend of a panel to its right."""
    axis.legend(title=title, title_fontsize=7, fontsize=7, loc="upper left", bbox_to_anchor=(1.04, 1), borderaxespad=0)


def with_legend(
    panel: tuple[float, float], levels: Sequence[LevelTable], label: Callable[[str, LevelTable], str]
) -> tuple[float, float]:
    """Return the size in inches of a panel together with its legend, which has a ``label`` for every arm of a table."""
    letters = max(len(label(arm, level)) for level in levels for arm in level.table.index)
    return panel[0] + LETTER * letters + 0.6, max(panel[1], ENTRY * (len(levels[0].arms) + 2))
