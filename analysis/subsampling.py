"""The error of each rule by the share of the training images that it keeps (K-image mixing, Fig. 5a).

    python analysis/subsampling.py kimage_subsampling

The command draws what the runs of a study logged whose arms or factors change ``subset.share``, and writes into
results/subsampling: shares.png, .pdf, .tex and .csv.
"""

import argparse
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from tabulate import tabulate

from analysis import command
from analysis.figures.captioned import save_with_points
from analysis.figures.drawing import arm_colour, arm_mark, draw_band, line_and_band
from analysis.figures.naming import in_lines
from analysis.figures.plots import one_panel
from analysis.records.runs import CONFIG, METRIC, done, metric_of
from analysis.statistics.tables import level_tables
from analysis.words.captions import capitalised, label_text, provenance_text
from analysis.words.cells import metric_rule

SHARE = CONFIG + "subset.share"


def share_points(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return ``share``, ``arm``, ``seed`` and ``value`` of all runs done; ``ValueError`` if none logged them."""
    finished = done(runs)
    if SHARE not in finished or METRIC + metric not in finished or finished.empty:
        raise ValueError(f"no run that is done logged {metric!r} and a subset.share")
    points = finished[[SHARE, "arm", "seed", METRIC + metric]]
    points = points.set_axis(["share", "arm", "seed", "value"], axis="columns")
    return points.astype({"share": float}).sort_values(["arm", "share", "seed"], ignore_index=True)


def _work(options: argparse.Namespace) -> int:
    plan, runs = command.read_study(options)
    metric, points = metric_of(plan, plan["metric"]), share_points(runs, plan["metric"])
    arms = [arm for arm in plan["arms"] if arm in set(points["arm"])]
    means = points.pivot_table(values="value", index="arm", columns="share").reindex(arms)
    label = label_text(metric)
    table = tabulate(means.astype(object), headers="keys", floatfmt=f".{metric.digits}f", disable_numparse=[0])
    levels = level_tables(runs, plan)
    caption = (
        f"{capitalised(metric_rule(*levels))}; {line_and_band(points, x='share')}. All seeds of an arm train on the "
        f"same images, so that the draw of random ones is not in that range. {provenance_text(*levels)}"
    )
    figure = plot_shares(options.study, points, arms, label, caption)
    text = f"{label}, by arm and by the share of the images that each class keeps\n\n{table}"
    return command.finish(save_with_points(figure, points, options.out / "shares"), text)


def plot_shares(study: str, points: pd.DataFrame, arms: Sequence[str], label: str, caption: str) -> Figure:
    """Draw one line per arm, the mean over seeds, in a band over seeds; the ``arms`` begin with the baseline."""
    names = in_lines(arms, 30)
    with one_panel(study, caption, ("share of the training images, t", label), names.values()) as (figure, axis):
        for index, arm in enumerate(arms):
            look = arm_colour(index), arm_mark(index)
            draw_band(axis, points[points["arm"] == arm], "share", "value", names[arm], look)
        shares = sorted(points["share"].unique())
        axis.set_xticks(shares, [f"{share:g}" for share in shares])
        axis.minorticks_off()
    return figure


about = "Draw the error over the share of the images that each rule keeps."
parser = command.study_parser("subsampling.py", about, example="kimage_subsampling", out=True)
main = command.main(__name__, _work, parser)
