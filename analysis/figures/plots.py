"""The figures of a study: gains with their intervals, training curves, cost, and evidence by seed.

Two commands that evaluate networks draw two lines for each arm, solid and dashed.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import drawing
from analysis.figures.captioned import COLUMN, titled
from analysis.figures.estimates import LINE, Estimate, cut_text, draw_estimates, limits_of, row_names
from analysis.figures.letters import in_letters
from analysis.records.runs import FACTOR, done
from analysis.statistics.pairs import finite_values, logged_metrics, metric_column
from analysis.statistics.sequential import DECISIVE
from analysis.statistics.tables import LevelTable
from analysis.words.captions import capitalised, hardware_text, metric_text, provenance_text, unit
from analysis.words.cells import metric_rule
from analysis.words.method import family_text

NAMES = 20  # letters of a line of an arm's name, beside a panel in a column
ROW_HEIGHT = 0.3  # inches, the height of an arm
SECONDS = "train_seconds_total"  # the metric by which a trainable says how long a run has trained
UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
FLOOR = 1e-2  # the wealth below which a line is not followed


def plot_gains(study: str, levels: Sequence[LevelTable]) -> Figure | None:
    """Draw one panel per combination of factor levels: every arm's gain, its 95 % interval, and one dot per seed.

    It is None where the baseline is the only arm.
    """
    if len(levels[0].arms) == 1:
        return None
    every = [row for level in levels for row in _gains(level)]
    limits = limits_of(every)
    letters = NAMES if len(levels) == 1 else 24
    lines = 1 + max(name.count("\n") for name in row_names(every, letters).values())
    row = max(ROW_HEIGHT, LINE * lines + 0.1)
    others = set(levels[0].against.values()) - {levels[0].baseline}
    reference = "the arm it is compared with" if others else "baseline"
    gain = "gain over" if levels[0].declared.higher_is_better else "difference from"
    label = f"{gain} {reference}, {unit(levels[0].declared)} (paired by seed)"
    key = "Diamond: mean difference; bar: paired t interval, 95 %, each arm by itself; dot: one seed"
    key += f".{cut_text(every)}"
    if max(level.table["pairs"].max() for level in levels) == 1:
        key = "Diamond and dot: the difference of one seed, which has no interval."
    return drawing.panel_figure(
        *(study, levels, lambda axis, level: draw_estimates(axis, _gains(level), limits, letters)),
        height=row * max(2, len(levels[0].arms) - 1) + 0.25,
        labels=(label, ""),
        caption=f"{capitalised(metric_rule(*levels))}. {key} {provenance_text(*levels)}",
        legend=(),
    )


def plot_curves(study: str, curves: pd.DataFrame, levels: Sequence[LevelTable]) -> Figure:
    """Draw one panel per table: the mean over seeds by epoch, in a band from the lowest to the highest seed.

    The curves are those that :func:`analysis.records.runs.load_curves` returns for the metric that the tables compare
    by a rule. What is not finite, of a run that has diverged, is left out.
    """
    curves = curves[np.isfinite(curves["value"].astype(float))]

    def draw(axis: Axes, level: LevelTable) -> None:
        for arm, mine, look in drawing.arms_of(level, curves):
            drawing.draw_band(axis, mine, "epoch", "value", drawing.names_of(level)[arm], look)
        drawing.whole_ticks(axis)

    metric = metric_text(levels[0].declared, levels[0].declared.name, ())
    caption = f"{drawing.line_and_band(curves, x='epoch').capitalize()}. {provenance_text(*levels)}"
    return drawing.panel_figure(study, levels, draw, height=drawing.PANEL, labels=("epoch", metric), caption=caption)


def _gains(level: LevelTable) -> list[Estimate]:
    """Return a row for every arm of the study, so that panels with one axis have the same rows."""
    colours, names, seeds = drawing.colours_of(level), drawing.names_of(level), level.differences
    names |= {arm: f"{names[arm]} against {names[reference]}" for arm, reference in level.against.items()}
    rows = level.table.reindex(list(level.arms)).drop(level.baseline)
    return [
        Estimate(names[arm], gain, low, high, colours[arm], seeds=list(seeds.get(arm, ())))
        for arm, gain, low, high in rows[["gain", "gain_low", "gain_high"]].itertuples(name=None)
    ]


def plot_cost(study: str, levels: Sequence[LevelTable]) -> Figure | None:
    """Draw one panel per table with one mark per arm; None where no run has logged its training time."""
    runs = done(pd.concat([level.runs for level in levels]))
    if SECONDS not in logged_metrics(runs):
        return None
    longest = runs[metric_column(runs, SECONDS)].max()
    size, name = next(((size, name) for size, name in UNITS if longest >= size), UNITS[-1])

    def draw(axis: Axes, level: LevelTable) -> None:
        for arm, mine, (colour, mark) in drawing.arms_of(level, runs):
            x = mine[metric_column(mine, SECONDS)] / size
            y = finite_values(mine, level.metric)
            if x.notna().any() and y.notna().any():
                label = drawing.names_of(level)[arm]
                axis.errorbar(x.mean(), y.mean(), _bars(y), _bars(x), ls="none", marker=mark, color=colour, label=label)

    several = max(level.table["n"].max() for level in levels) > 1
    seeds = "mean over seeds; bars: lowest to highest seed" if several else "one seed, so no bars"
    caption = (
        f"{capitalised(metric_rule(*levels))}, against the training time of a run, without tests. Mark: {seeds}. "
        f"{hardware_text(*levels)}{provenance_text(*levels)}"
    )
    labels = (f"training time of a run, {name}", metric_text(levels[0].declared, levels[0].declared.name, ()))
    return drawing.panel_figure(study, levels, draw, height=drawing.PANEL, labels=labels, caption=caption)


def _bars(values: pd.Series) -> list[list[float]]:
    """Return how far the lowest and the highest value are from the mean, which rounding may put beyond equal ones."""
    mean = values.mean()
    return [[max(0.0, mean - values.min())], [max(0.0, values.max() - mean)]]


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
        for arm, mine, look in drawing.arms_of(level, points):
            drawing.draw_band(axis, mine, "seeds", "wealth", drawing.names_of(level)[arm], look)
        axis.set_yscale("log")
        axis.set_ylim(least / 1.5, 1.5 * most)
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        drawing.whole_ticks(axis)

    caption = (
        f"Evidence for each comparison after every seed, corrected for {family_text(levels)}: the wealth of a bettor "
        f"on the sign of the paired differences, who begins with 1. Dashed: {DECISIVE:g}, where a comparison is "
        "decided; where there is no difference, the wealth ever reaches it with a probability of at most 5 %. "
        f"{provenance_text(*levels)}"
    )
    names = [name for arm, name in drawing.names_of(levels[0]).items() if arm != levels[0].baseline]
    labels = ("seeds", "evidence (e-value)")
    return drawing.panel_figure(
        *(study, levels, draw), height=drawing.PANEL, labels=labels, caption=caption, legend=names
    )


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
        for arm, mine, look in drawing.arms_of(level, points):
            for part, line in zip(parts, ("-", "--"), strict=True):
                label = drawing.names_of(level)[arm] if part == parts[0] else "_dashed"
                drawing.draw_band(axis, mine[mine["part"] == part], "x", "y", label, look, line)
        axis.set_xlim(0, width)
        axis.set_ylim(0, 101)

    return drawing.panel_figure(study, levels, draw, height=drawing.PANEL, labels=labels, caption=caption)


@contextmanager
def one_panel(
    study: str, caption: str, labels: tuple[str, str], names: Collection[str]
) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure of one panel with a logarithmic x axis; the block draws what has these names in a legend."""
    height = drawing.PANEL + 0.6 + drawing.key_height(names, COLUMN)
    with titled(study, caption, (COLUMN, height)) as (figure, upper):
        axis = upper.subplots()
        axis.set_xscale("log")
        axis.set_xlabel(labels[0])
        axis.set_ylabel(in_letters(labels[1]))
        yield figure, axis
        drawing.key_below(upper, *axis.get_legend_handles_labels(), COLUMN)
