"""The figure of ``subsampling.py``: a metric by the share of the training images that was kept."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.drawing import arm_colours, arm_line, draw_band, plain, titled


def plot_shares(study: str, points: pd.DataFrame, arms: Sequence[str], label: str, caption: str) -> Figure:
    """Draw one line per arm, the mean over seeds, in a band from the lowest to the highest seed.

    Args:
        points: columns ``share``, ``arm``, ``seed`` and ``value``.
        arms: all arms in the order of the study, the baseline first.
        label: of the vertical axis.
    """
    with titled(study, caption, (6.4, 4.2)) as (figure, upper):
        axis = upper.subplots()
        for place, (arm, colour) in enumerate(arm_colours(arms, arms[0]).items()):
            draw_band(axis, points[points["arm"] == arm], "share", "value", plain(arm), colour, arm_line(place))
        shares = sorted(points["share"].unique())
        axis.set_xscale("log")
        axis.set_xticks(shares, [f"{share:g}" for share in shares])
        axis.minorticks_off()
        axis.set_xlabel("share of the training images, t", fontsize=9)
        axis.set_ylabel(label, fontsize=9)
        upper.legend(loc="outside right upper")
        return figure
