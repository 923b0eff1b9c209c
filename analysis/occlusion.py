"""The accuracy of a study's networks as more and more patches of the test images are masked (SUMix, Figure 5).

    python analysis/occlusion.py ablation_cifar100                          random patches, in the mean colour
    python analysis/occlusion.py ablation_cifar100 --order salient --fill black --grid 14

The command needs the finished runs' ``model.pt``, and writes into results/occlusion: curves.png, .pdf, .tex and .csv,
and areas.md, .csv and .tex, the areas under the curves with paired gains. A ResNet-18 on 1000 CIFAR images takes some
minutes on one CPU; networks that were evaluated before are read from evaluations.json.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Generator, Tensor

from analysis import command, evaluation
from analysis.command import count
from analysis.figures import drawing
from analysis.figures.captioned import TEXT, titled
from analysis.figures.naming import in_lines
from analysis.figures.tiles import show_image
from analysis.networks.evaluate import Result, all_of, batches, open_images
from analysis.statistics.tables import LevelTable
from analysis.words.cells import interval_text
from analysis.words.notes import uneven_seeds
from mixlab.spec.metric import Metric, decimals
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.dataset import BatchSource
from trainables.datasets.opening import dataset_of
from trainables.robustness import occlusion

AREA = Metric("test_top1_occluded", "%", 2, higher_is_better=True, label="top-1 accuracy, mean over masked shares")
MASK_SEED = 0  # the seed of the masks, the same for every network
SIZES = ("patch_size", "grid")  # options that set the side of a patch
STRIP = 0.75  # inches, the height of the image's strip
HEIGHT = 2.0  # inches, of a panel


def measure(network: Network, source: BatchSource, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return ``accuracy`` in percent by draw and by share of masked patches, its area, and the size of the patches."""
    side = patch_side(config, protocol)
    accuracy = occlusion.occlusion_accuracy(
        network,
        batches(source, config),
        len(source),
        occlusion.patch_of_pixel(config.tested_side, config.tested_side, side),
        Generator().manual_seed(MASK_SEED),
        fill=dataset_of(config).mean if protocol["fill"] == "mean" else None,
        order=protocol["order"],
        draws=protocol["draws"],
    )
    area = float(occlusion.area_under_curve(accuracy.mean(0)))
    return {"accuracy": accuracy.tolist(), "area": area, "patch_size": side}


def patch_side(config: Config, protocol: Mapping[str, Any]) -> int:
    """Return the side of a patch in pixels; raise ``ValueError`` if the image has no such grid."""
    image_side = config.tested_side
    usual = -(-image_side // protocol["grid"]) if "grid" in protocol else occlusion.default_patch_size(image_side)
    side = int(protocol.get("patch_size", usual))
    if (grid := protocol.get("grid")) and grid != (row := -(-image_side // side)):
        raise ValueError(f"--grid {grid} cannot be made of {image_side} pixels: patches of {side} are {row} in a row")
    return side


def example_strip(config: Config, options: argparse.Namespace, side: int) -> list[tuple[float, Tensor]]:
    """Return shares in percent, and the first test image (C, H, W) with that share masked, as the networks saw it."""
    image, _ = all_of(open_images(config, 1, options.data_root), config)
    fill = image.new_tensor(dataset_of(config).mean if options.fill == "mean" else (0.0,) * image.shape[1])
    height, width = image.shape[2:]
    patches = occlusion.patch_of_pixel(height, width, side).to(image.device)
    chance = torch.rand(1, int(patches.max()) + 1, generator=Generator().manual_seed(MASK_SEED)).to(image.device)
    ranks = occlusion.masking_ranks(image, patches, options.order, chance)
    return [(share, occlusion.mask(image, patches, ranks, share, fill)[0].cpu()) for share in occlusion.SHARES]


def curve(result: Result) -> list[dict[str, float]]:
    """Return ``masked`` and ``accuracy`` (in percent, the mean of the draws) for every share.

    ``spread`` is the difference between the highest and the lowest draw, in percentage points.
    """
    draws = zip(*result.get("accuracy", ()), strict=True)
    return [
        {"masked": share, "accuracy": sum(values) / len(values), "spread": max(values) - min(values)}
        for share, values in zip(occlusion.SHARES, draws, strict=False)
    ]


def protocol_text(options: argparse.Namespace, results: Iterable[Result], images: str) -> str:
    """Return the protocol in a sentence."""
    sides = sorted({result["patch_size"] for result in results})
    order = {"random": "random patches", "salient": "the most salient patches first"}
    colour = "the mean colour" if options.fill == "mean" else "black"
    mean = "" if options.draws == 1 else f"mean of {options.draws} draws, "
    return (
        f"Masked: {order.get(options.order, 'the least salient patches first')}, "
        f"{' or '.join(f'{side} x {side}' for side in sides)} pixels, in {colour}; each image its own, {mean}"
        f"the same masks for every network; {images}. Occluded accuracy is the area under the curve: the mean over "
        "0 to 100 % masked patches."
    )


def _work(options: argparse.Namespace) -> int:
    given = [name for name in SIZES if getattr(options, name) is not None]
    if options.draws is None:
        options.draws = 3 if options.order == "random" else 1  # by saliency chance orders only ties
    study = evaluation.Evaluation.read(options)
    asked = {name: getattr(options, name) for name in ("fill", "order", "draws", *given)}
    study.measure(measure, {"kind": "occlusion", "version": 1, **asked})
    levels, points = study.tables(AREA, "area"), study.points(curve)
    sentence = protocol_text(options, study.results.values(), study.images())
    config = next(iter(study.configurations(study.runs).values()))
    strip = example_strip(config, options, patch_side(config, asked))
    chances = {level.name: chances_of(study.configurations(level.runs).values()) for level in levels}
    uneven = dict.fromkeys(line for level in levels for line in uneven_seeds(level))
    caption = " ".join([sentence, "Dotted: a guess.", *uneven])
    study.draw("curves", plot_occlusion, points, levels, caption, strip=strip, chances=chances)
    return study.finish(study.write_tables([levels], sentence, stem="areas"))


def chances_of(configs: Iterable[Config]) -> list[float]:
    """Return the accuracies of a guess, in percent: one, unless the networks were trained on several data sets."""
    return sorted({100 / dataset_of(config).num_classes for config in configs})


def plot_occlusion(
    study: str,
    curves: pd.DataFrame,
    levels: Sequence[LevelTable],
    caption: str,
    *,
    strip: Sequence[tuple[float, Tensor]],
    chances: Mapping[str, Sequence[float]],
) -> Figure:
    """Draw one panel per table: accuracy by share of masked patches, with a band over seeds.

    Args:
        curves: columns ``arm``, ``seed``, one per factor, ``masked`` and ``accuracy``, both percent.
        levels: at least one table of the areas under the curves, which the legends show.
        strip: shares in percent, and the occluded image (C, H, W) of each, in [0, 1].
        chances: from :func:`chances_of`, by the names of the tables.
    """
    panels = len(levels) * drawing.height_beside(HEIGHT, levels, _label)  # inches
    with titled(study, caption, (TEXT, 0.35 + STRIP + panels)) as (figure, upper):
        parts = upper.subfigures(2, 1, height_ratios=[STRIP, panels], squeeze=False)
        above, below = np.ravel(parts)
        for axis, (share, image) in zip(above.subplots(1, len(strip), squeeze=False)[0], strip, strict=True):
            show_image(axis, image, f"{share:g} %")
            axis.set_axis_off()
        titles = in_lines([level.name for level in levels], 60)
        label = f"masked patches, %; {drawing.line_and_band(curves)}"
        axes = drawing.panels(below, len(levels), (label, "top-1 accuracy, %"), most=1)
        for axis, level in zip(axes, levels, strict=True):
            _draw_panel(axis, curves, level, chances[level.name])
            axis.set_title(titles[level.name])
        axes[0].set_ylim(bottom=0)  # for all panels; set after the curves are drawn, which keeps the top where it is
        return figure


def _draw_panel(axis: Axes, curves: pd.DataFrame, level: LevelTable, chances: Sequence[float]) -> None:
    for chance in chances:
        axis.axhline(chance, color="#999999", linewidth=1, linestyle=":", zorder=1)
    for arm, points, look in drawing.arms_of(level, curves):
        drawing.draw_band(axis, points, "masked", "accuracy", _label(arm, level), look)
    axis.set_xlim(0, 100)
    if axis.get_legend_handles_labels()[0]:
        drawing.legend_beside(axis, "area under the curve, %; gain [95 % interval]")
    else:
        axis.text(0.5, 0.5, "no network", transform=axis.transAxes, ha="center", color="#777777")


def _label(arm: str, level: LevelTable) -> str:
    """Return the arm, the area under its curve, its gain with the interval, and over what, if not the baseline."""
    row = level.table.loc[arm]
    names = drawing.names_in_lines(level, 30)
    label = f"{names[arm]}  {row['mean']:.1f}"
    if pd.isna(row["gain"]):
        return label
    interval = "" if pd.isna(row["gain_low"]) else f" {interval_text(row['gain_low'], row['gain_high'], 1)}"
    over = f"\nover {names[level.against[arm]]}" if arm in level.against else ""
    return f"{label}, {decimals(row['gain'], 1, '+')}{interval}{over}"


parser = evaluation.parser("occlusion.py", "Measure a study's networks on images of which parts are hidden.")
add, orders = parser.add_argument, ("random", "salient", "non_salient")
add("--fill", choices=("mean", "black"), default="mean", help="colour of the hidden patches (default: mean)")
add("--order", choices=orders, default="random", help="which patches are hidden first (default: random)")
add("--draws", type=count, metavar="N", help="orders of each image (default: 3 random ones, or one by saliency)")
size = parser.add_mutually_exclusive_group()
usual = "16 for images from 128 pixels, an eighth of the side of smaller ones"
size.add_argument("--patch-size", type=count, metavar="PIXELS", help=f"side of a patch (default: {usual})")
size.add_argument("--grid", type=count, metavar="N", help="patches in a row, instead of their side")
main = command.main(__name__, _work, parser)
