"""The error of what each architecture search found by the time that the search took (K-image mixing, Fig. 5b).

    python analysis/search_time.py kimage_nas

The command draws what the runs of a study logged that search for an architecture, and writes into results/search_time:
search_time.png, .pdf, .tex and .csv.
"""

import argparse

import pandas as pd
from matplotlib.figure import Figure
from tabulate import tabulate

from analysis import command
from analysis.figures.captioned import save_with_points
from analysis.figures.drawing import arm_colour, arm_mark, log_ticks
from analysis.figures.naming import in_lines
from analysis.figures.plots import one_panel
from analysis.records.runs import CONFIG, METRIC, done, metric_of
from analysis.statistics.tables import level_tables
from analysis.words.captions import capitalised, hardware_text, label_text, provenance_text
from analysis.words.cells import metric_rule

RULE = CONFIG + "subset.rule"
SECONDS = METRIC + "search_seconds"


def search_points(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return ``images`` (the rule by which a search chose its images), ``arm``, ``seed``, ``hours`` and ``value``.

    A search without a rule has used all images.

    If no run that is done logged the metric and the time of its search, that is a ``ValueError``.
    """
    columns = [RULE, "arm", "seed", SECONDS, METRIC + metric]
    points = done(runs).reindex(columns=columns).astype({RULE: object}).fillna({RULE: "none"}).dropna()
    if points.empty:
        raise ValueError(f"no run that is done logged {metric!r} and search_seconds")
    points = points.set_axis(["images", "arm", "seed", "hours", "value"], axis="columns").reset_index(drop=True)
    return points.assign(images=points["images"].replace("none", "all images"), hours=points["hours"] / 3600)


def _work(options: argparse.Namespace) -> int:
    plan, runs = command.read_study(options)
    metric, points = metric_of(plan, plan["metric"]), search_points(runs, plan["metric"])
    means = points.groupby(["images", "arm"], sort=False)[["hours", "value"]].mean()
    form = {"floatfmt": f".{metric.digits}f", "disable_numparse": [0, 1]}  # names may look like numbers
    label = label_text(metric)
    text = tabulate(means.reset_index().rename(columns={"value": label}), headers="keys", showindex=False, **form)
    levels = level_tables(runs, plan)
    caption = (
        f"{capitalised(metric_rule(*levels))}. Mark: mean of an arm over its seeds; dot: one seed; a line joins the "
        "arms that choose images by one rule. The time of a search does not count what it took to score the images. "
        f"{hardware_text(*levels)}{provenance_text(*levels)}"
    )
    figure = plot_search_time(options.study, points, label, caption)
    return command.finish(save_with_points(figure, points, options.out / "search_time"), text)


def plot_search_time(study: str, points: pd.DataFrame, label: str, caption: str) -> Figure:
    """Draw one line per rule through the means of its arms, and a dot per seed; ``label`` names the ``value``."""
    rules = list(points["images"].unique())
    lines, names = in_lines(rules, 30), in_lines(points["arm"].unique(), 30)
    with one_panel(study, caption, ("time of the search, hours", label), lines.values()) as (figure, axis):
        for index, rule in enumerate(rules):
            colour = arm_colour(index)
            mine = points[points["images"] == rule]
            means = mine.groupby("arm")[["hours", "value"]].mean().sort_values("hours")
            axis.plot(means["hours"], means["value"], marker=arm_mark(index), color=colour, label=lines[rule])
            axis.plot(mine["hours"], mine["value"], "o", color=colour, markersize=3, alpha=0.5, mew=0)
            for arm, mean in means.iterrows():
                point = mean["hours"], mean["value"]
                axis.annotate(names[str(arm)], point, (4, 4), textcoords="offset points", size=6.5)
        ticks = log_ticks(points["hours"].min(), points["hours"].max())
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    return figure


about = "Draw the error over the time of the search."
parser = command.study_parser("search_time.py", about, example="kimage_nas", out=True)
main = command.main(__name__, _work, parser)
