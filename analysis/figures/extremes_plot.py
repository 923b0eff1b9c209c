"""The figure of ``uncertainty.py``: the images with the highest and with the lowest scores."""

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures.tiles import show_image, tile_figure, write_below

TILE = 1.0  # inches
ROWS = ("most uncertain", "most certain")


def plot_extremes(title: str, rows: list[tuple[Tensor, pd.DataFrame]], caption: str) -> Figure:
    """Draw the most and the least uncertain images (n, C, H, W) in [0, 1], in two rows, with their rows of scores."""
    count = max(len(images) for images, _ in rows)
    with tile_figure(title, caption, (max(5.0, 0.9 + TILE * count), 4.4), (2, count)) as (figure, axes):
        for line, name, (images, scores) in zip(axes, ROWS, rows, strict=True):
            line[0].set_title(name, fontsize=8, loc="left", pad=12)
            for axis, image, row in zip(line, images, scores.to_dict("records"), strict=False):
                show_image(axis, image)
                write_below(axis, f"CV {row['cv']:.2f}\n{row['mean']:.2f} ± {row['std']:.2f}")
        return figure
