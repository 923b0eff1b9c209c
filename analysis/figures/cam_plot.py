"""The figure of ``cam.py``: test images and mixtures, and under each where every network looks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures.drawing import arm_colours, plain, show_image, titled
from analysis.statistics.tables import LevelTable

TILE = 1.0  # inches
LABEL = 1.45  # inches, the width of the names at the left
TEXT = 0.14  # inches, the height of a text below a tile
SHADES = "inferno"  # the colours of a map, from nothing to its maximum; their lightness alone shows the order


class CamRow(NamedTuple):
    """The maps of one network."""

    name: str  # level and arm
    arm: str
    labels: list[int]  # the classes of the N test images
    result: dict[str, Any]  # from ``cam.measure``


def plot_cam(
    study: str, rows: Sequence[CamRow], level: LevelTable, images: Tensor, names: Sequence[str], caption: str
) -> Figure:
    """Draw a column per image: test images with a map per network below, then each network's mixtures with two maps.

    Args:
        rows: at least one network.
        level: any table of the study, which gives an arm its colour.
        images: test images (N, C, H, W) in [0, 1].
        names: the names of the classes.
    """
    colours = arm_colours(list(level.table.index), level.baseline)
    heights = [TILE] * (1 + len(rows)) + [TILE + TEXT, TILE + TEXT, TILE + TEXT] * len(rows)
    width = LABEL + TILE * len(images)
    lines = int(len(caption) / (width / 0.062)) + 2
    with titled(study, caption, (width, sum(heights) + 0.6 + 0.16 * lines)) as (figure, upper):
        ratios = {"height_ratios": heights, "width_ratios": [LABEL, *[TILE] * len(images)]}
        axes = upper.subplots(len(heights), 1 + len(images), squeeze=False, gridspec_kw=ratios)
        for axis in axes.flat:
            axis.set_axis_off()
        _line(axes[0], "test image", "black", images)
        for place, label in enumerate(rows[0].labels):
            axes[0, place + 1].set_title(plain(names[label], 16), fontsize=7.5, loc="center", pad=2)
        for line, row in enumerate(rows, 1):
            _line(axes[line], plain(row.name, 22), colours[row.arm], images, row.result["own"])
        for place, row in enumerate(rows):
            first, name, colour = 1 + len(rows) + 3 * place, plain(row.name, 22), colours[row.arm]
            mixed = torch.tensor(row.result["mixed"], dtype=torch.uint8).float() / 255
            _line(axes[first], f"{name}\nmixture", colour, mixed)
            _below(axes[first], [_shares(row, column, names) for column in range(len(images))])
            for rank, maps in enumerate(row.result["maps"]):
                _line(axes[first + 1 + rank], f"{name}\nclass {rank + 1}", colour, mixed, maps)
                _below(axes[first + 1 + rank], [_class(row, column, rank, names) for column in range(len(images))])
        return figure


def _below(axes: Sequence[Axes], texts: Sequence[str]) -> None:
    """Write a text below each tile of a line."""
    for axis, text in zip(list(axes)[1:], texts, strict=True):
        axis.text(0.5, -0.03, text, transform=axis.transAxes, ha="center", va="top", fontsize=6.5)


def _line(axes: Sequence[Axes], name: str, colour: str, images: Tensor, maps: Sequence[Any] = ()) -> None:
    axes[0].text(1, 0.5, name, transform=axes[0].transAxes, ha="right", va="center", fontsize=7.5, color=colour)
    for place, axis in enumerate(list(axes)[1:]):
        show_image(axis, images[place])
        if len(maps):
            shown = np.array(maps[place], dtype=float)
            most = shown.max() or 1.0
            extent = (-0.5, images.shape[3] - 0.5, images.shape[2] - 0.5, -0.5)
            axis.imshow(shown / most, SHADES, vmin=0, vmax=1, alpha=0.6, interpolation="bilinear", extent=extent)


def _shares(row: CamRow, place: int, names: Sequence[str]) -> str:
    """Return the first class of a mixture and its share."""
    return f"{plain(names[row.labels[place]], 16)} {row.result['shares'][place]:.2f}"


def _class(row: CamRow, place: int, rank: int, names: Sequence[str]) -> str:
    """Return a likeliest class and how likely it is, with a tick if it is in the mixture."""
    label, sure = row.result["classes"][place][rank], row.result["confidence"][place][rank]
    inside = (row.labels[place], row.labels[(place + 1) % len(row.labels)])
    return f"{plain(names[label], 14)} {sure:.0f} %{' ✓' if label in inside else ''}"
