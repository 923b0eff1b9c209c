"""The figures of ``subsampling.py`` and ``search_time.py``: a metric by the images that were kept, or by the time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import arm_colours, arm_line, distinct, draw_band, log_ticks, titled
from analysis.figures.letters import in_letters


def plot_shares(study: str, points: pd.DataFrame, arms: Sequence[str], label: str, caption: str) -> Figure:
    """Draw one line per arm, the mean over seeds, in a band from the lowest to the highest seed.

    The points have the columns ``share``, ``arm``, ``seed`` and ``value``, which ``label`` names. The arms are in the
    order of the study, the baseline first.
    """
    with _one_panel(study, caption, ("share of the training images, t", label)) as (figure, axis):
        names = distinct(arms)
        for index, (arm, colour) in enumerate(arm_colours(arms, arms[0]).items()):
            draw_band(axis, points[points["arm"] == arm], "share", "value", names[arm], colour, arm_line(index))
        shares = sorted(points["share"].unique())
        axis.set_xticks(shares, [f"{share:g}" for share in shares])
        axis.minorticks_off()
    return figure


def plot_search_time(study: str, points: pd.DataFrame, label: str, caption: str) -> Figure:
    """Draw one line per rule through the means of its arms, and a dot for each seed.

    The points have the columns ``images`` (the rule), ``arm``, ``seed``, ``hours`` and ``value``, which ``label``
    names.
    """
    rules = list(points["images"].unique())
    lines, names = distinct(rules), distinct(points["arm"].unique())
    with _one_panel(study, caption, ("time of the search, hours", label)) as (figure, axis):
        for rule, colour in arm_colours(rules, rules[0]).items():
            mine = points[points["images"] == rule]
            means = mine.groupby("arm")[["hours", "value"]].mean().sort_values("hours")
            axis.plot(means["hours"], means["value"], "-o", color=colour, label=lines[rule])
            axis.plot(mine["hours"], mine["value"], "o", color=colour, markersize=3, alpha=0.5, mew=0)
            for arm, mean in means.iterrows():
                point = mean["hours"], mean["value"]
                axis.annotate(names[str(arm)], point, (4, 4), textcoords="offset points", size=6.5)
        ticks = log_ticks(points["hours"].min(), points["hours"].max())
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    return figure


@contextmanager
def _one_panel(study: str, caption: str, labels: tuple[str, str]) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure of one panel with a logarithmic x axis; what the block draws is listed in a legend."""
    with titled(study, caption, (6.4, 4.2)) as (figure, upper):
        axis = upper.subplots()
        axis.set_xscale("log")
        axis.set_xlabel(labels[0], fontsize=9)
        axis.set_ylabel(in_letters(labels[1]), fontsize=9)
        yield figure, axis
        upper.legend(loc="outside right upper")
