"""The figure of ``cam.py``: test images and mixed images, and under each where every network looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context
from torch import Tensor

from analysis.figures.drawing import STYLE, add_caption, arm_colours, plain
from analysis.statistics.tables import LevelTable

TILE = 1.0  # inches
LABEL = 1.45  # inches, the width of the names at the left
TEXT = 0.26  # inches, the height of the two classes below a tile
SHADES = "inferno"  # the colours of a map, from nothing to its maximum; their lightness alone shows the order


class CamRow(NamedTuple):
    """The maps of one network."""

    name: str  # level and arm
    arm: str
    labels: list[int]  # the classes of the N test images
    result: dict[str, Any]  # from ``cam.measure``


def plot_cam(
    study: str,
    rows: Sequence[CamRow],
    level: LevelTable,
    shown: tuple[Tensor, Tensor],
    names: Sequence[str],
    caption: str,
) -> Figure:
    """Draw two blocks with a column per image: test images above one row per network, mixed ones above two rows each.

    Args:
        study: the name of the study.
        rows: at least one network.
        level: any table of the study, which gives an arm its colour.
        shown: test images (N, C, H, W) in [0, 1], and the mixed ones of ``cam.half_mixed``.
        names: the names of the classes.
        caption: what is shown.
    """
    images, mixed = shown
    colours = arm_colours(list(level.table.index), level.baseline)
    heights = [TILE] * (2 + len(rows)) + [TILE, TILE + TEXT] * len(rows)
    with context(STYLE):
        width = LABEL + TILE * len(images)
        lines = int(len(caption) / (width / 0.062)) + 2
        figure = Figure(figsize=(width, sum(heights) + 0.6 + 0.16 * lines), layout="constrained")
        upper = add_caption(figure, caption)
        upper.suptitle(plain(study, 80), x=0.01, ha="left", fontweight="bold")
        ratios = {"height_ratios": heights, "width_ratios": [LABEL, *[TILE] * len(images)]}
        axes = upper.subplots(len(heights), 1 + len(images), squeeze=False, gridspec_kw=ratios)
        for axis in axes.flat:
            axis.set_axis_off()
        _line(axes[0], "test image", "black", images)
        for place, label in enumerate(rows[0].labels):
            axes[0, place + 1].set_title(names[label], fontsize=7.5, loc="center", pad=2)
        for line, row in enumerate(rows, 1):
            _line(axes[line], plain(row.name, 22), colours[row.arm], images, row.result["own"])
        first = 1 + len(rows)
        _line(axes[first], "mixed, half each", "black", mixed)
        for place, row in enumerate(rows):
            for side, key in enumerate(("left", "right")):
                line = first + 1 + 2 * place + side
                _line(axes[line], f"{plain(row.name, 22)}\n{key} class", colours[row.arm], mixed, row.result[key])
            for column, axis in enumerate(axes[line, 1:]):
                below = {"transform": axis.transAxes, "ha": "center", "va": "top", "fontsize": 6.5}
                axis.text(0.5, -0.03, _two(row, column, names), **below)
        return figure


def _line(axes: Sequence[Axes], name: str, colour: str, images: Tensor, maps: Sequence[Any] = ()) -> None:
    axes[0].text(1, 0.5, name, transform=axes[0].transAxes, ha="right", va="center", fontsize=7.5, color=colour)
    for place, axis in enumerate(list(axes)[1:]):
        pixels = images[place].permute(1, 2, 0).numpy()
        height, width = pixels.shape[:2]
        axis.imshow(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
        if len(maps):
            shown = np.array(maps[place], dtype=float)
            most = shown.max() or 1.0
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
            axis.imshow(shown / most, SHADES, vmin=0, vmax=1, alpha=0.6, interpolation="bilinear", extent=extent)


def _two(row: CamRow, place: int, names: Sequence[str]) -> str:
    """Return the two likeliest classes, with a tick at each that is in the mixture."""
    inside = (row.labels[place], row.labels[(place + 1) % len(row.labels)])
    pairs = zip(row.result["classes"][place], row.result["confidence"][place], strict=True)
    return "\n".join(f"{names[label]} {sure:.0f} %{' ✓' if label in inside else ''}" for label, sure in pairs)
