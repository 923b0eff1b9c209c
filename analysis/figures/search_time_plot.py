"""The figure of ``search_time.py``: a metric of the networks that were found by the time of their search."""

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.drawing import arm_colours, plain, titled


def plot_search_time(study: str, points: pd.DataFrame, label: str, caption: str) -> Figure:
    """Draw one line per rule through the means of its arms, and a dot for each seed.

    Args:
        points: columns ``images``, ``arm``, ``seed``, ``hours`` and ``value``.
        label: of the vertical axis.
    """
    rules = list(points["images"].unique())
    with titled(study, caption, (6.4, 4.2)) as (figure, upper):
        axis = upper.subplots()
        for rule, colour in arm_colours(rules, rules[0]).items():
            mine = points[points["images"] == rule]
            means = mine.groupby("arm")[["hours", "value"]].mean().sort_values("hours")
            axis.plot(means["hours"], means["value"], "-o", color=colour, label=plain(rule))
            axis.plot(mine["hours"], mine["value"], "o", color=colour, markersize=3, alpha=0.5, mew=0)
            for arm, mean in means.iterrows():
                axis.annotate(plain(arm), (mean["hours"], mean["value"]), (4, 4), textcoords="offset points", size=6.5)
        axis.set_xscale("log")
        axis.set_xlabel("time of the search, hours", fontsize=9)
        axis.set_ylabel(label, fontsize=9)
        upper.legend(loc="outside right upper")
        return figure
