"""Draws composites of K images with the label of each as bars (K-image mixing, Figures 1 and 4).

    python analysis/composites.py                                            DMixup, DCutMix, Saliency-DCutMix, K = 3
    python analysis/composites.py --dataset imagenet --num-images 5 --mixers dcutmix,saliency_dcutmix

Every mixer gets the same test images. A bar is what a class weighs in the label of a composite. No network is needed.
The command writes composites.png, .pdf, .tex and .csv, one row per bar, into results/composites.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Generator, Tensor

from analysis import command
from analysis.command import at_least, count, positive
from analysis.figures.captioned import TEXT, save_with_points
from analysis.figures.drawing import PALETTE
from analysis.figures.naming import plain
from analysis.figures.tiles import show_image, tile_figure
from analysis.shown_images import shown_images
from trainables.config import parse, require_known
from trainables.mixers import MIXERS
from trainables.mixers.mixed import Mixed

KIMAGE = ("dmixup", "dcutmix", "saliency_dcutmix")
BARS = 0.62  # inches, the height of the bars under a tile


class Composite(NamedTuple):
    """One mixed image."""

    mixer: str
    image: Tensor  # (C, H, W) in [0, 1]
    label: list[tuple[str, float]]  # class and weight, the heaviest first


def composites(mixer: str, images: Tensor, num_images: int, alpha: float, seed: int) -> Mixed:
    """Return a composite of every image (N, C, H, W) in [0, 1] with K - 1 others, by one of the mixers ``KIMAGE``.

    The shares are drawn from Dirichlet(alpha); the seed is that of all draws.
    """
    return MIXERS[mixer](images, Generator(images.device).manual_seed(seed), alpha=alpha, num_images=num_images)


def label_bars(mixed: Mixed, row: int, labels: Tensor) -> list[tuple[int, float]]:
    """Return the classes of a composite and what each weighs, the heaviest first; equal labels add up."""
    weights: dict[int, float] = {}
    for source, weight in zip(mixed.sources[row].tolist(), mixed.weights[row].tolist(), strict=True):
        label = int(labels[source])
        weights[label] = weights.get(label, 0.0) + weight
    return sorted(weights.items(), key=lambda pair: -pair[1])


def _work(options: argparse.Namespace) -> int:
    for name in options.mixers:
        require_known("--mixers", name, KIMAGE)
    needed = 8 * options.num_images + options.columns  # so that composites of K classes are among them
    images, labels, names = shown_images(parse({"dataset": options.dataset}), needed, options.data_root)
    panels, rows = [], []
    for mixer in options.mixers:
        mixed = composites(mixer, images, options.num_images, options.alpha, options.seed)
        every = [label_bars(mixed, row, labels) for row in range(len(images))]
        of_many_classes_first = sorted(range(len(images)), key=lambda row: len(every[row]), reverse=True)
        for row in of_many_classes_first[: options.columns]:
            bars = [(names[label], weight) for label, weight in every[row]]
            panels.append(Composite(mixer, mixed.images[row], bars))
            rows += [{"mixer": mixer, "composite": row, "class": name, "weight": weight} for name, weight in bars]
    caption = (
        f"Composites of {options.num_images} images of {options.dataset}, shares from Dirichlet({options.alpha:g}), "
        f"seed {options.seed}. Bars: what each class weighs in the label, counted in pixels for mixers that cut."
    )
    figure = plot_composites(panels, options.columns, caption)
    return command.finish(save_with_points(figure, pd.DataFrame(rows), options.out / "composites"))


def plot_composites(panels: Sequence[Composite], columns: int, caption: str) -> Figure:
    """Draw a row of ``columns`` composites for each mixer, and below each a bar for every class of its label."""
    rows = len(panels) // columns
    tile = TEXT / max(columns, 4) - 0.15  # inches
    size = (TEXT, rows * (tile + BARS + 0.25) + 0.4)
    with tile_figure("", caption, size, (2 * rows, columns), height_ratios=[tile, BARS] * rows) as (figure, axes):
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


parser = command.parser("composites.py", "Draw composites of K images and their labels.", tracked=False, out=True)
add, mixers = parser.add_argument, "mixers of K images (default: %(default)s)"
add("--dataset", default="cifar10", metavar="NAME", help="take the images of this data set (default: %(default)s)")
add("--mixers", type=command.names, default=",".join(KIMAGE), metavar="A,B", help=mixers)
add("--num-images", type=at_least(2), default=3, metavar="K", help="images in each composite (default: %(default)s)")
add("--alpha", type=positive, default=1.0, metavar="X", help="concentration of the shares (default: %(default)s)")
add("--columns", type=count, default=5, metavar="N", help="composites of each mixer (default: %(default)s)")
add("--seed", type=int, default=0, metavar="N", help="seed of all draws (default: %(default)s)")
command.add_data_root(parser)
main = command.main(__name__, _work, parser)
