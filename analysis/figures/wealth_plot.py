"""The evidence of a sequential study by seed: the wealth of a bettor on every comparison, which decides at 20."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import arms_of, names_of, panel_figure, whole_ticks
from analysis.records.runs import FACTOR
from analysis.statistics.sequential import DECISIVE
from analysis.statistics.tables import LevelTable
from analysis.words.captions import provenance_text
from analysis.words.method import family_text

PANEL = (3.6, 2.5)  # inches
FLOOR = 1e-2  # the wealth below which a line is not followed
CAPTION = (
    "Evidence for each comparison after every seed, corrected for {family}: the wealth of a bettor on the sign of the "
    "paired differences, who begins with 1. Dashed: {decisive:g}, where a comparison is decided; a wealth that ever "
    "reaches it where there is no difference has a probability of at most 5 %. {provenance}"
)


def wealth_points(levels: Sequence[LevelTable]) -> pd.DataFrame:
    """Return one row per comparison and number of seeds: ``factor.NAME``, ``arm``, ``seed``, ``seeds``, ``wealth``."""
    rows = []
    for level in levels:
        factors = {FACTOR + factor: value for factor, value in level.levels.items()}
        for arm, evidence in level.evidence.items():
            for count, value in enumerate([1.0, *evidence]):  # before any seed, and after each
                rows.append({**factors, "arm": arm, "seed": 0, "seeds": count, "wealth": max(float(value), FLOOR)})
    return pd.DataFrame(rows)


def plot_wealth(study: str, levels: Sequence[LevelTable]) -> Figure | None:
    """Draw one panel per table: the wealth of every arm by number of seeds; None where nothing has been compared.

    The study is one that adds seeds until its questions are decided.
    """
    points = wealth_points(levels)
    if points.empty:
        return None
    most = max(float(points["wealth"].max()), 2 * DECISIVE)
    least = float(points["wealth"].min())
    ticks = [tick for tick in (0.01, 0.1, 1, 20, 100, 1000, 1e4, 1e6) if least / 1.5 <= tick <= most]

    def draw(axis: Axes, level: LevelTable) -> None:
        axis.axhline(DECISIVE, color="#777777", linewidth=1, linestyle="--")
        for arm, mine, colour, line in arms_of(level, points):
            axis.plot(mine["seeds"], mine["wealth"], line, marker=".", color=colour, label=names_of(level)[arm])
        axis.set_yscale("log")
        axis.set_ylim(least / 1.5, 1.5 * most)
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        whole_ticks(axis)

    caption = CAPTION.format(family=family_text(levels), decisive=DECISIVE, provenance=provenance_text(*levels))
    labels = ("seeds", "evidence (e-value)")
    return panel_figure(study, levels, draw, size=PANEL, labels=labels, caption=caption)
