"""The figure of ``cam.py``: test images and mixtures, and under each where every network looks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures.drawing import caption_height, colours_of, distinct, plain
from analysis.figures.tiles import LABEL, name_line, show_image, tile_figure, write_below
from analysis.statistics.tables import LevelTable

TILE = 1.0  # inches
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

    The images are (N, C, H, W) in [0, 1], the names those of the classes. An arm has its colour in ``level``, any table
    of the study.
    """
    colours, cells = colours_of(level), distinct([row.name for row in rows], 22)
    heights = [TILE] * (1 + len(rows)) + [TILE + TEXT] * 3 * len(rows)
    widths = [LABEL, *[TILE] * len(images)]
    size = (sum(widths), sum(heights) + 0.6 + caption_height(caption, sum(widths)))
    ratios = {"height_ratios": heights, "width_ratios": widths}
    with tile_figure(study, caption, size, (len(heights), len(widths)), **ratios) as (figure, axes):
        _line(axes[0], "test image", "black", images)
        for axis, label in zip(axes[0, 1:], rows[0].labels, strict=True):
            axis.set_title(plain(names[label], 16), fontsize=7.5, loc="center", pad=2)
        for index, row in enumerate(rows):
            first, name, colour = 1 + len(rows) + 3 * index, cells[row.name], colours[row.arm]
            _line(axes[1 + index], name, colour, images, row.result["own"])
            mixed = torch.tensor(row.result["mixed"], dtype=torch.uint8).float() / 255
            _line(axes[first], f"{name}\nmixture", colour, mixed)
            for rank, maps in enumerate(row.result["maps"]):
                _line(axes[first + 1 + rank], f"{name}\nclass {rank + 1}", colour, mixed, maps)
            for column in range(len(images)):
                write_below(axes[first, column + 1], _shares(row, column, names))
                for rank in range(2):
                    write_below(axes[first + 1 + rank, column + 1], _class(row, column, rank, names))
        return figure


def _line(axes: Sequence[Axes], name: str, colour: str, images: Tensor, maps: Sequence[Any] = ()) -> None:
    """Draw a line of images (N, C, H, W), and over each its map if there are any."""
    name_line(axes[0], name, colour)
    for axis, image in zip(axes[1:], images, strict=True):
        show_image(axis, image)
    extent = (-0.5, images.shape[3] - 0.5, images.shape[2] - 0.5, -0.5)
    for axis, evidence in zip(axes[1:], maps, strict=False):
        shown = np.array(evidence, dtype=float)
        shown /= shown.max() or 1.0
        axis.imshow(shown, SHADES, vmin=0, vmax=1, alpha=0.6, interpolation="bilinear", extent=extent)


def _shares(row: CamRow, index: int, names: Sequence[str]) -> str:
    """Return the first class of a mixture and its share."""
    return f"{plain(names[row.labels[index]], 16)} {row.result['shares'][index]:.2f}"


def _class(row: CamRow, index: int, rank: int, names: Sequence[str]) -> str:
    """Return a likeliest class and how likely it is, with a tick if it is in the mixture."""
    label, sure = row.result["classes"][index][rank], row.result["confidence"][index][rank]
    inside = (row.labels[index], row.labels[(index + 1) % len(row.labels)])
    return f"{plain(names[label], 14)} {sure:.0f} %{' ✓' if label in inside else ''}"
