"""The figure of ``learned_lambda.py``: a pair of images, its mixtures, and drawn and learned lambda below each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures.drawing import colours_of, distinct, plain
from analysis.figures.tiles import LABEL, name_line, show_image, tile_figure, write_below
from analysis.statistics.tables import LevelTable

TILE = 1.05  # inches


class Strip(NamedTuple):
    """The mixtures of one pair, as one network sees them."""

    cell: str  # level and arm
    arm: str
    pair: Tensor  # (2, C, H, W) in [0, 1]
    names: list[str]  # the classes of the pair
    mixtures: list[dict[str, Any]]  # from ``learned_lambda.strip_of``


def plot_strips(study: str, strips: Sequence[Strip], level: LevelTable, shown: int, caption: str) -> Figure:
    """Draw a line for each network and pair, at least one: the two images, then as many mixtures as are ``shown``.

    An arm has the colour that it has in ``level``, any table of the study.
    """
    colours, cells = colours_of(level), distinct([strip.cell for strip in strips], 24)
    size = (LABEL + TILE * (2 + shown), len(strips) * (TILE + 0.3) + 1.0)
    widths = [LABEL, *[TILE] * (2 + shown)]
    with tile_figure(study, caption, size, (len(strips), 3 + shown), width_ratios=widths) as (figure, axes):
        for line, strip in zip(axes, strips, strict=True):
            name_line(line[0], cells[strip.cell], colours[strip.arm])
            for axis, image, name in zip(line[1:3], strip.pair, strip.names, strict=True):
                show_image(axis, image)
                write_below(axis, plain(name, 16))
            for axis, one in zip(line[3:], strip.mixtures, strict=False):
                show_image(axis, torch.tensor(one["image"], dtype=torch.uint8).float() / 255)
                write_below(axis, f"{one['drawn']:.2f} → {one['learned']:.2f}")
        return figure
