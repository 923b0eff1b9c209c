"""The figures of a search, one arm at a time; the contour of a map is Optuna's.

In all of them a darker colour is a better or a later trial, as the caption says.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import optuna
import pandas as pd
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from analysis.figures.captioned import COLUMN, TEXT, titled
from analysis.figures.drawing import MOST_TICKS, key_below, log_ticks, shape, whole_ticks
from analysis.figures.letters import in_letters
from analysis.figures.naming import plain
from analysis.records.search_trials import Tuned, position
from analysis.statistics.importance import EVALUATOR, Landscape
from analysis.words.captions import capitalised
from analysis.words.line_breaks import wrapped
from mixlab.messages import counted
from mixlab.spec.space import short

FEWEST = 4  # complete trials that a contour can be drawn from
LIGHTEST = 0.8  # the mean of red, green and blue of a line, of 1 for white
FEW_TICKS = 4  # on an axis of a small panel
LONG_LABELS = 18  # letters of all choices of a small panel, above which they are turned
COLOUR, BEST_COLOUR, CENSORED_COLOUR, FAILED_COLOUR = "#0072B2", "#D55E00", "#555555", "#CC79A7"


def plot_history(arm: Tuned, objective: str) -> Figure:
    """Draw every trial, and the best complete one so far; those that were stopped early do not count."""
    pruned = [trial for trial in arm.trials(TrialState.PRUNED) if trial.value is not None]
    early = "; cross: one that was stopped early, at its last value" if pruned else ""
    caption = f"Dot: a complete trial{early}; line: the best complete trial so far."
    with _titled(arm, caption, (COLUMN, 2.8)) as (figure, upper):
        axis = upper.subplots()
        if complete := arm.complete:
            numbers, values = zip(*((trial.number, trial.value) for trial in complete), strict=True)
            axis.plot(numbers, values, "o", color=COLOUR, label="complete")
            best = (np.minimum if _minimised(arm) else np.maximum).accumulate(values)
            ends = [*numbers, arm.trials()[-1].number], [*best, best[-1]]
            axis.step(*ends, where="post", color=BEST_COLOUR, label="best so far")
        if pruned:
            numbers, values = zip(*((trial.number, trial.value) for trial in pruned), strict=True)
            axis.plot(numbers, values, "x", color=CENSORED_COLOUR, alpha=0.6, label="stopped early: last value")
        whole_ticks(axis)
        axis.set(xlabel="trial", ylabel=in_letters(objective))
        key_below(upper, *axis.get_legend_handles_labels(), COLUMN)
        return figure


def plot_map(arm: Tuned, x: str, y: str, objective: str) -> Figure:
    """Draw the trials that have two parameters, and Optuna's contour of four complete ones or more that differ."""
    x, y = sorted((x, y))  # as Optuna does, whatever order it is given
    values = [trial.value for trial in _with(arm.complete, x, y)]
    contour = len(values) >= FEWEST and len(set(values)) > 1
    why = "all complete trials have the same value" if len(values) >= FEWEST else "too few complete trials have both"
    how = "Colour: interpolated between complete trials." if contour else f"No contour, as {why}."
    with _titled(arm, how, (COLUMN, 3.1)) as (figure, upper):
        axis = upper.subplots()
        if contour:
            with _optuna_draws_on(upper, axis):
                optuna.visualization.matplotlib.plot_contour(arm.study, [x, y], target_name=in_letters(objective))
        _scatter(axis, arm.complete, x, y, "o", "black", "complete")
        _scatter(axis, arm.trials(TrialState.PRUNED), x, y, "x", CENSORED_COLOUR, "stopped early")
        _scatter(axis, arm.trials(TrialState.FAIL), x, y, "v", FAILED_COLOUR, "failed")
        if arm.best is not None and {x, y} <= set(arm.best.params):
            point = arm.best.params[x], arm.best.params[y]
            axis.plot(*point, "*", color=BEST_COLOUR, markersize=16, markeredgecolor="white", label="best", zorder=4)
        for name, which, most in ((x, "x", FEW_TICKS), (y, "y", MOST_TICKS)):
            spec = arm.space[name]
            ticks, texts = zip(*_ticks(spec, most), strict=True)  # Optuna's are formulas, which are not read
            scale = {"scale": "log" if spec["log"] else "linear", "ticks": ticks, "ticklabels": texts}
            settings = {**scale, "lim": _limits(spec), "label": plain(name)}
            axis.set(**{f"{which}{setting}": value for setting, value in settings.items()})
        axis.minorticks_off()
        axis.set_title("")  # Optuna's own
        if (key := axis.get_legend_handles_labels())[0]:  # an arm may have no trial with both
            key_below(upper, *key, COLUMN)
        return figure


def plot_slices(arm: Tuned, objective: str) -> Figure:
    """Draw the objective of the complete trials against each parameter."""
    rows, columns = shape(len(arm.space))
    caption = "Dot: a complete trial that has the parameter; the darker, the later."
    with _titled(arm, caption, (TEXT if columns > 1 else COLUMN, 1.7 * rows + 0.4)) as (figure, upper):
        axes = list(upper.subplots(rows, columns, sharey=True, squeeze=False).flatten())
        scale = Normalize(0, max(1, arm.complete[-1].number))
        for axis, (name, spec) in zip(axes, arm.space.items(), strict=False):
            mine = _with(arm.complete, name)
            shares, values = [_share(spec, trial.params[name]) for trial in mine], [trial.value for trial in mine]
            colours = {"c": [trial.number for trial in mine], "cmap": _visible_blues(), "norm": scale}
            points = axis.scatter(shares, values, s=20, **colours)
            ticks, texts = zip(*_ticks(spec, FEW_TICKS), strict=True)
            axis.set_xticks([_share(spec, tick) for tick in ticks], texts)
            axis.set(xlim=(-0.05, 1.05), xlabel=plain(name))
            if spec["kind"] == "Choice" and sum(map(len, texts)) > LONG_LABELS:
                axis.tick_params("x", rotation=20)
        for axis in axes[len(arm.space) :]:
            axis.set_visible(False)
        upper.colorbar(points, ax=axes, label="trial", ticks=MaxNLocator(5, integer=True))
        upper.supylabel(in_letters(objective))
        return figure


def plot_parallel(arm: Tuned, objective: str) -> Figure:
    """Draw every complete trial as a line through its value and the parameters that all of them have."""
    names = arm.varied(arm.complete)
    caption = "Line: a complete trial, through its value and the parameters that all have; the darker, the better."
    values = np.array([trial.value for trial in arm.complete], dtype=float)
    low, high = values.min(), values.max()
    first = {"kind": "Float", "low": low, "high": high if high > low else low + 1, "log": False}
    specs = [first, *(arm.space[name] for name in names)]
    labels = ["\n".join(wrapped(in_letters(objective), 20)), *map(plain, names)]
    with _titled(arm, caption, (TEXT if len(names) > 2 else COLUMN, 2.8)) as (figure, upper):
        axis = upper.subplots()
        for place in (-values).argsort()[:: 1 if _minimised(arm) else -1]:  # the best last, over all others
            drawn = [values[place], *(arm.complete[place].params[name] for name in names)]
            heights = [_share(spec, value) for spec, value in zip(specs, drawn, strict=True)]
            share = 1 - heights[0] if _minimised(arm) else heights[0]
            axis.plot(heights, color=_visible_blues()(share), linewidth=1.2)
        for place, spec in enumerate(specs):
            axis.axvline(place, color="black", linewidth=0.8)
            for tick, label in _ticks(spec, FEW_TICKS):
                words = axis.annotate(label, (place, _share(spec, tick)), (-3, 0), textcoords="offset points", size=7)
                words.set(ha="right", va="center", path_effects=[withStroke(linewidth=2.5, foreground="white")])
        axis.set_xticks(range(len(specs)), labels, rotation=20, ha="right", rotation_mode="anchor")
        axis.set(xlim=(-0.4, len(names) + 0.1), yticks=[])
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.grid(visible=False)
        return figure


def plot_importance(arm: Tuned, found: Landscape, *, claimed: bool) -> Figure:
    """Draw the importance of each parameter with its interval; grey where nothing can be ``claimed``."""
    table: pd.DataFrame = found.importance.iloc[::-1]
    grey = "" if claimed else " Grey: nothing here is shown to be beyond chance."
    bar = f"Bar: {EVALUATOR} without interactions, scaled to a sum of 1; line: 95 % interval, jackknife."
    caption = f"{capitalised(found.of.when)}. {bar}{grey}"
    with _titled(arm, caption, (COLUMN, 0.7 + 0.28 * len(table))) as (figure, upper):
        axis = upper.subplots()
        names = [plain(name) for name in table.index]
        axis.barh(names, table["importance"], color=COLOUR if claimed else "#999999", alpha=0.7)
        for row, (low, high) in enumerate(zip(table["low"], table["high"], strict=True)):
            axis.plot([low, high], [row, row], color="black")
        axis.set(xlim=(0, 1), xlabel="importance")
        return figure


def numeric(arm: Tuned) -> list[str]:
    """Return the parameters that have an axis."""
    return [name for name, spec in arm.space.items() if spec["kind"] != "Choice"]


@contextmanager
def _titled(arm: Tuned, caption: str, size: tuple[float, float]) -> Iterator[tuple[Figure, SubFigure]]:
    """Yield what :func:`titled` does: the title is the arm's name, and the caption ends with how its trials ended."""
    with titled(arm.shown, f"{caption} {counted(len(arm.trials()), 'trial')}: {arm.ends}.", size) as parts:
        yield parts


def _minimised(arm: Tuned) -> bool:
    return bool(arm.study.direction == StudyDirection.MINIMIZE)


def _with(trials: Sequence[FrozenTrial], *names: str) -> list[FrozenTrial]:
    return [trial for trial in trials if set(names) <= set(trial.params)]


def _share(spec: dict[str, Any], value: Any) -> float:
    """Return where a value is between the ends of its parameter, which are 0 and 1."""
    if spec["kind"] == "Choice":
        return float(spec["values"].index(value) / max(1, len(spec["values"]) - 1))
    return float(position(spec, value))


def _ticks(spec: dict[str, Any], most: int) -> list[tuple[Any, str]]:
    """Return the values of a parameter that its axis shows, about ``most`` or all of a choice, and their text."""
    if spec["kind"] == "Choice":
        return [(value, plain(short(value))) for value in spec["values"]]
    low, high = float(spec["low"]), float(spec["high"])
    if spec["log"]:
        found = log_ticks(low, high, most)
    else:
        even = MaxNLocator(most, integer=spec["kind"] == "Int").tick_values(low, high)
        found = [float(f"{tick:.12g}") for tick in even if low <= tick <= high]
    return [(tick, f"{tick:g}") for tick in found]


def _limits(spec: dict[str, float]) -> tuple[float, float]:
    low, high = float(spec["low"]), float(spec["high"])
    if spec["log"]:
        pad = (high / low) ** 0.03
        return low / pad, high * pad
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def _scatter(axis: Axes, trials: Sequence[FrozenTrial], x: str, y: str, marker: str, colour: str, label: str) -> None:
    if points := [trial.params for trial in _with(trials, x, y)]:
        both, edge = [[point[name] for point in points] for name in (x, y)], withStroke(linewidth=3, foreground="white")
        axis.scatter(*both, marker=marker, color=colour, label=label, zorder=3, path_effects=[edge])


def _visible_blues() -> ListedColormap:
    """Return the blues that one sees on white paper."""
    every = colormaps["Blues"](np.linspace(0, 1, 256))  # (N, 4)
    return ListedColormap(every[every[:, :3].mean(axis=1) < LIGHTEST])


@contextmanager
def _optuna_draws_on(figure: SubFigure, axis: Axes) -> Iterator[None]:
    """Let Optuna, which would draw through pyplot and in a style of its own, draw on an axis."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ours = patch.object(plt, "subplots", lambda: (figure, axis)), patch.object(plt.style, "use")
    with ours[0], ours[1], warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)
