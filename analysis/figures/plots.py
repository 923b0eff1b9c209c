"""The figures of a study: gains over the baseline with their intervals, and training curves with seed bands."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import drawing
from analysis.figures.estimates import LETTER, Estimate, cut_text, draw_estimates, limits_of
from analysis.statistics.tables import LevelTable
from analysis.words.captions import capitalised, metric_text, provenance_text, unit
from analysis.words.cells import metric_rule

PANEL_WIDTH, ALONE = 3.6, 5.0  # inches, without the names of the arms; one panel alone must fit its axis label
ROW_HEIGHT = 0.42  # inches, the height of an arm


def plot_gains(study: str, levels: Sequence[LevelTable]) -> Figure | None:
    """Draw one panel per combination of factor levels: every arm's gain, its 95 % interval, and one dot per seed.

    It is None where the baseline is the only arm.
    """
    if len(levels[0].arms) == 1:
        return None
    every = [row for level in levels for row in _gains(level)]
    limits = limits_of(every)
    columns = drawing.shape(len(levels))[1]
    names = max((len(row.name) for row in every), default=1) * LETTER + 0.3  # inches
    width = (PANEL_WIDTH if columns > 1 else ALONE) + names / columns
    others = set(levels[0].against.values()) - {levels[0].baseline}
    reference = "the arm it is compared with" if others else "baseline"
    gain = "gain over" if levels[0].declared.higher_is_better else "difference from"
    label = f"{gain} {reference}, {unit(levels[0].declared)} (paired by seed)"
    key = "Diamond: mean difference; bar: paired t interval, 95 %, each arm by itself; dot: one seed"
    key += f".{cut_text(every)}"
    if max(level.table["pairs"].max() for level in levels) == 1:
        key = "Diamond and dot: the difference of one seed, which has no interval."
    return drawing.panel_figure(
        *(study, levels, lambda axis, level: draw_estimates(axis, _gains(level), limits)),
        size=(width, ROW_HEIGHT * max(2, len(levels[0].arms) - 1) + 0.55),
        labels=(label, ""),
        caption=f"{capitalised(metric_rule(*levels))}. {key} {provenance_text(*levels)}",
        legend=False,
    )


def plot_curves(study: str, curves: pd.DataFrame, levels: Sequence[LevelTable]) -> Figure:
    """Draw one panel per table: the mean over seeds by epoch, in a band from the lowest to the highest seed.

    The curves are those that :func:`analysis.records.runs.load_curves` returns for the metric that the tables compare
    by a rule. What is not finite, of a run that has diverged, is left out.
    """
    curves = curves[np.isfinite(curves["value"].astype(float))]

    def draw(axis: Axes, level: LevelTable) -> None:
        for arm, mine, colour, line in drawing.arms_of(level, curves):
            drawing.draw_band(axis, mine, "epoch", "value", drawing.names_of(level)[arm], colour, line)
        drawing.whole_ticks(axis)

    metric = metric_text(levels[0].declared, levels[0].declared.name, ())
    caption = f"{drawing.line_and_band(curves, x='epoch').capitalize()}. {provenance_text(*levels)}"
    return drawing.panel_figure(study, levels, draw, size=(PANEL_WIDTH, 2.6), labels=("epoch", metric), caption=caption)


def _gains(level: LevelTable) -> list[Estimate]:
    """Return a row for every arm of the study, so that panels with one axis have the same rows."""
    colours, names, seeds = drawing.colours_of(level), drawing.names_of(level), level.differences
    rows = level.table.reindex(list(level.arms)).drop(level.baseline)
    return [
        Estimate(names[arm], gain, low, high, colours[arm], seeds=list(seeds.get(arm, ())))
        for arm, gain, low, high in rows[["gain", "gain_low", "gain_high"]].itertuples(name=None)
    ]
