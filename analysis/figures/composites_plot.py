"""The figure of ``composites.py``: mixtures of K images, and under each the bars of its label."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures.drawing import PALETTE, plain
from analysis.figures.tiles import show_image, tile_figure

TILE = 1.3  # inches
BARS = 0.62  # inches, the height of the bars under a tile


class Composite(NamedTuple):
    """One mixed image."""

    mixer: str
    image: Tensor  # (C, H, W) in [0, 1]
    label: list[tuple[str, float]]  # class and weight, the heaviest first


def plot_composites(panels: Sequence[Composite], columns: int, caption: str) -> Figure:
    """Draw a row of ``columns`` composites for each mixer, and below each a bar for every class of its label."""
    rows = len(panels) // columns
    size = (max(columns * (TILE + 0.15), 5.0), rows * (TILE + BARS + 0.25) + 0.9)
    with tile_figure("", caption, size, (2 * rows, columns), height_ratios=[TILE, BARS] * rows) as (figure, axes):
        for index, panel in enumerate(panels):
            row, column = divmod(index, columns)
            picture, bars = axes[2 * row, column], axes[2 * row + 1, column]
            show_image(picture, panel.image.clamp(0, 1))
            if column == 0:
                picture.set_title(panel.mixer, fontsize=8.5, fontweight="bold", loc="left")
            heights = np.arange(len(panel.label))[::-1]
            weights = [weight for _, weight in panel.label]
            bars.barh(heights, weights, color=[PALETTE[n % len(PALETTE)] for n in range(len(weights))], alpha=0.55)
            for height, (name, weight) in zip(heights, panel.label, strict=True):
                bars.text(0.02, height, f"{plain(name, 18)} {weight:.2f}", va="center", fontsize=6.5)
            bars.set_xlim(0, 1)
            bars.set_ylim(-0.6, len(panel.label) - 0.4)
        return figure
