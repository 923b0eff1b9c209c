"""The figure of ``learned_lambda.py``: a pair of images, its mixtures, and drawn and learned lambda below each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures.drawing import arm_colours, plain, show_image, titled
from analysis.statistics.tables import LevelTable

TILE = 1.05  # inches
LABEL = 1.5  # inches, the width of the names at the left


class Strip(NamedTuple):
    """The mixtures of one pair, as one network sees them."""

    cell: str  # level and arm
    arm: str
    pair: Tensor  # (2, C, H, W) in [0, 1]
    names: list[str]  # the classes of the pair
    mixtures: list[dict[str, Any]]  # from ``learned_lambda.strip_of``


def plot_strips(study: str, strips: Sequence[Strip], level: LevelTable, shown: int, caption: str) -> Figure:
    """Draw a line for each network and pair: the two images, then the mixtures.

    Args:
        strips: at least one.
        level: any table of the study, which gives an arm its colour.
        shown: the number of mixtures of a line.
    """
    colours = arm_colours(list(level.table.index), level.baseline)
    size = (LABEL + TILE * (2 + shown), len(strips) * (TILE + 0.3) + 1.0)
    with titled(study, caption, size) as (figure, upper):
        ratios = {"width_ratios": [LABEL, *[TILE] * (2 + shown)]}
        axes = upper.subplots(len(strips), 3 + shown, squeeze=False, gridspec_kw=ratios)
        for axis in axes.flat:
            axis.set_axis_off()
        for line, strip in zip(axes, strips, strict=True):
            name = {"transform": line[0].transAxes, "ha": "right", "va": "center", "fontsize": 7.5}
            line[0].text(1, 0.5, plain(strip.cell, 24), color=colours[strip.arm], **name)
            for axis, image, text in zip(line[1:3], strip.pair, strip.names, strict=True):
                _tile(axis, image, plain(text, 16))
            for axis, one in zip(line[3:], strip.mixtures, strict=False):
                image = torch.tensor(one["image"], dtype=torch.uint8).float() / 255
                _tile(axis, image, f"{one['drawn']:.2f} → {one['learned']:.2f}")
        return figure


def _tile(axis: Axes, image: Tensor, text: str) -> None:
    show_image(axis, image)
    axis.text(0.5, -0.04, text, transform=axis.transAxes, ha="center", va="top", fontsize=7)
