"""Figures that are made of images: a grid of tiles, with names at the left and texts below."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures.captioned import titled

LABEL = 1.45  # inches, the width of the names at the left


@contextmanager
def tile_figure(
    title: str, caption: str, size: tuple[float, float], grid: tuple[int, int], **ratios: list[float]
) -> Iterator[tuple[Figure, Any]]:
    """Yield a figure of a size in inches and its axes (rows, columns), of which only what is drawn in them is seen.

    The grid has so many rows and columns, whose ``height_ratios`` and ``width_ratios`` may be given.
    """
    with titled(title, caption, size) as (figure, upper):
        axes = upper.subplots(*grid, squeeze=False, gridspec_kw=ratios)
        for axis in axes.flat:
            axis.set_axis_off()
        yield figure, axes


def show_image(axis: Axes, image: Tensor, title: str = "") -> None:
    """Draw an image (C, H, W) in [0, 1], of one channel or of three, below its title."""
    axis.imshow(image.permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=1)
    if title:
        axis.set_title(title, fontsize=7.5, loc="center", pad=2)


def name_line(axis: Axes, name: str, colour: str = "black") -> None:
    """Write a name in the first tile of a line, which holds no image."""
    axis.text(1, 0.5, name, transform=axis.transAxes, ha="right", va="center", fontsize=7.5, color=colour)


def write_below(axis: Axes, text: str) -> None:
    """Write a text below a tile."""
    axis.text(0.5, -0.04, text, transform=axis.transAxes, ha="center", va="top", fontsize=6.5)
