"""The figures of a search, one arm at a time: Optuna's own in the common style, completed by what they leave out."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import optuna
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.style import context
from matplotlib.ticker import MaxNLocator
from optuna.trial import TrialState
from optuna.visualization import matplotlib as optuna_plots

from analysis.figures.drawing import log_ticks, whole_ticks
from analysis.figures.letters import style
from analysis.figures.naming import plain
from analysis.records.search_trials import Tuned
from analysis.statistics.search_findings import EVALUATOR, Landscape

FEWEST = 4  # complete trials that a contour can be drawn from
LIGHTEST = 0.8  # the mean of red, green and blue of a line, of 1 for white
BEST_COLOUR, CENSORED_COLOUR, FAILED_COLOUR = "#D55E00", "#555555", "#CC79A7"


def plot_history(arm: Tuned, objective: str) -> Figure:
    """Draw the best complete trial so far, by Optuna; trials that were stopped early do not count."""
    with _figures():
        axis = optuna_plots.plot_optimization_history(arm.study, target_name=objective)
        named = {objective: "complete", "Best Value": "best so far"}
        pruned = [(trial.number, trial.value) for trial in arm.trials(TrialState.PRUNED) if trial.value is not None]
        if pruned:
            cross = {"marker": "x", "color": CENSORED_COLOUR, "alpha": 0.6, "label": "stopped early: last value"}
            axis.scatter(*zip(*pruned, strict=True), **cross)
        marks, names = axis.get_legend_handles_labels()  # Optuna's own legend lacks the crosses
        axis.legend(marks, [named.get(name, name) for name in names], bbox_to_anchor=(1.02, 1), loc="upper left")
        whole_ticks(axis)
        axis.set(title=f"{_name(arm)}: best so far", xlabel="trial")
        return plt.gcf()


def plot_map(arm: Tuned, x: str, y: str, objective: str) -> Figure:
    """Draw the trials that have two parameters, and Optuna's contour of four complete ones or more that differ."""
    x, y = sorted((x, y))  # as Optuna does, whatever order it is given
    with _figures():
        values = [trial.value for trial in arm.complete if {x, y} <= set(trial.params)]
        enough = len(values) >= FEWEST
        contour = enough and len(set(values)) > 1
        if contour:
            axis = optuna_plots.plot_contour(arm.study, params=[x, y], target_name=objective)
        else:
            axis = plt.subplots()[1]
            for name, scale in ((x, axis.set_xscale), (y, axis.set_yscale)):
                scale("log" if arm.space[name].get("log") else "linear")
            axis.set(xlabel=x, ylabel=y)
        _scatter(axis, arm, x, y, TrialState.COMPLETE, "o", "black", "complete")
        _scatter(axis, arm, x, y, TrialState.PRUNED, "x", CENSORED_COLOUR, "stopped early")
        _scatter(axis, arm, x, y, TrialState.FAIL, "v", FAILED_COLOUR, "failed")
        if arm.best is not None and {x, y} <= set(arm.best.params):
            point = arm.best.params[x], arm.best.params[y]
            axis.plot(*point, "*", color=BEST_COLOUR, markersize=16, markeredgecolor="white", label="best", zorder=4)
        for name, limits in ((x, axis.set_xlim), (y, axis.set_ylim)):
            limits(*_limits(arm.space[name]))
        axis.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=4, frameon=False)
        without = "all complete trials have the same value" if enough else "too few complete trials for a contour"
        how = "interpolated between complete trials" if contour else without
        axis.set_title(f"{_name(arm)}: {how}")
        return _with_plain_numbers(plt.gcf())


def plot_slices(arm: Tuned, objective: str) -> Figure:
    """Draw the objective of the complete trials against each parameter, by Optuna."""
    with _figures():
        for axis in np.ravel(optuna_plots.plot_slice(arm.study, target_name=objective)):
            axis.set_title("")  # Optuna's own, where there is one parameter
            if (name := axis.get_xlabel()) in numeric(arm):
                axis.set_xlim(_limits(arm.space[name]))
        plt.gcf().axes[-1].yaxis.set_major_locator(MaxNLocator(integer=True))  # the colour bar shows trial numbers
        plt.suptitle(_name(arm))
        return _with_plain_numbers(plt.gcf())


def plot_parallel(arm: Tuned, objective: str) -> Figure:
    """Draw every complete trial as a line through the parameters that all of them have, by Optuna."""
    with _figures(), rc_context({"axes.spines.right": True, "axes.grid": False}):
        params = arm.varied(arm.complete)
        axis = optuna_plots.plot_parallel_coordinate(arm.study, params=params, target_name=objective)
        axis.set_title(_name(arm))
        (lines,) = axis.collections
        lines.set_cmap(_without_white(lines.get_cmap()))
        plt.setp(axis.get_xticklabels(), rotation=20, ha="right", rotation_mode="anchor")
        figure = _with_plain_numbers(plt.gcf())
        _, bar, *_, last = figure.axes
        figure.draw_without_rendering()
        place, numbers = bar.get_position(), last.get_tightbbox()
        assert numbers is not None  # the axis is drawn
        end = numbers.transformed(figure.transFigure.inverted()).x1
        bar.set_position((max(place.x0, end + 0.03), place.y0, place.width, place.height))  # clear of the last numbers
        return figure


def plot_importance(arm: Tuned, found: Landscape) -> Figure:
    """Draw the importance of each parameter with its interval; grey where nothing can be claimed."""
    with _figures():
        table: pd.DataFrame = found.importance.iloc[::-1]
        figure, axis = plt.subplots(figsize=(6.4, 1.2 + 0.5 * max(2, len(table))), layout="constrained")
        colour = "#0072B2" if found.p < 0.05 else "#999999"
        axis.barh(list(table.index), table["importance"], color=colour, alpha=0.7)
        for row, (low, high) in enumerate(zip(table["low"], table["high"], strict=True)):
            axis.plot([low, high], [row, row], color="black")
        axis.set(xlim=(0, 1), xlabel=f"share of the variance ({EVALUATOR}; line: 95 % by resampling the trials)")
        axis.set_title(f"{_name(arm)}: importance {found.of.when}")
        return figure


def numeric(arm: Tuned) -> list[str]:
    """Return the parameters that have an axis."""
    return [name for name, spec in arm.space.items() if spec["kind"] != "Choice"]


def _name(arm: Tuned) -> str:
    return plain(arm.shown, 40)


def _with_plain_numbers(figure: Figure) -> Figure:
    """Return a figure whose logarithmic axes have numbers as text, since the style reads no formulas."""
    for axis in figure.axes:
        for scale, limits, write in (
            (axis.get_xscale(), axis.get_xlim(), axis.set_xticks),
            (axis.get_yscale(), axis.get_ylim(), axis.set_yticks),
        ):
            if scale == "log":
                ticks = log_ticks(*limits)
                write(ticks, [f"{tick:g}" for tick in ticks])
                axis.minorticks_off()
    return figure


def _scatter(axis: Axes, arm: Tuned, x: str, y: str, state: TrialState, marker: str, colour: str, label: str) -> None:
    points = [t.params for t in arm.trials(state) if {x, y} <= set(t.params)]
    if points:
        both, edge = [[point[name] for point in points] for name in (x, y)], withStroke(linewidth=3, foreground="white")
        axis.scatter(*both, marker=marker, color=colour, label=label, zorder=3, path_effects=[edge])


def _without_white(colours: Colormap) -> ListedColormap:
    """Return the colours that one sees as lines on white paper."""
    every = colours(np.linspace(0, 1, colours.N))  # (N, 4)
    return ListedColormap(every[every[:, :3].mean(axis=1) < LIGHTEST])


def _limits(spec: dict[str, float]) -> tuple[float, float]:
    low, high = float(spec["low"]), float(spec["high"])
    if spec["log"]:
        pad = (high / low) ** 0.03
        return low / pad, high * pad
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


@contextmanager
def _figures() -> Iterator[None]:
    """Keep the windows of Optuna, which draws through pyplot, inside the block, and its own style out of it."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with context(style()), patch.object(plt.style, "use"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plt.switch_backend("Agg")
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)
            plt.close("all")
