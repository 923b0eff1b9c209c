"""The accuracy of a study's networks as more and more patches of the test images are masked (SUMix, Figure 5).

    python analysis/occlusion.py ablation_cifar100                          random patches, in the mean colour
    python analysis/occlusion.py ablation_cifar100 --order salient --fill black --grid 14

The command needs the finished runs' ``model.pt``, and writes into results/occlusion: curves.png, .pdf and .csv, and
areas.md and .csv, the areas under the curves with paired gains. A ResNet-18 on 1000 CIFAR images takes minutes on one
CPU; networks that were evaluated before are read from evaluations.json.
"""

import argparse
from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from analysis import command, evaluation
from analysis.figures.drawing import save_with_points
from analysis.figures.occlusion_plot import plot_occlusion
from analysis.networks.evaluate import Result, all_of, batches, open_images
from analysis.words.captions import count_text, provenance_text
from mixlab.spec.metric import Metric
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.dataset import BatchSource
from trainables.datasets.opening import dataset_of
from trainables.robustness import occlusion

AREA = Metric("test_top1_occluded", "%", 2, higher_is_better=True, label="top-1 accuracy, mean over masked shares")
MASK_SEED = 0  # the seed of the masks, the same for every network
SIZES = ("patch_size", "grid")  # options that set the side of a patch
VERSION = 1  # the version of the evaluation; raise it when its numbers change


def measure(network: Network, source: BatchSource, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return ``accuracy`` in percent by draw and by share of masked patches, its area, and the size of the patches."""
    _, height, width = dataset_of(config).image_shape
    usual = -(-height // protocol["grid"]) if "grid" in protocol else occlusion.default_patch_size(height)
    side = protocol.get("patch_size", usual)
    accuracy = occlusion.occlusion_accuracy(
        network,
        batches(source, config),
        len(source),
        occlusion.patch_of_pixel(height, width, side),
        Generator().manual_seed(MASK_SEED),
        fill=dataset_of(config).mean if protocol["fill"] == "mean" else None,
        order=protocol["order"],
        draws=protocol["draws"],
    )
    area = float(occlusion.area_under_curve(accuracy.mean(0)))
    return {"accuracy": accuracy.tolist(), "area": area, "patch_size": side, "images": len(source)}


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


def protocol_text(options: argparse.Namespace, result: Result) -> str:
    """Return the protocol in a sentence."""
    order = {"random": "random patches", "salient": "the most salient patches first"}
    colour = "the mean colour" if options.fill == "mean" else "black"
    return (
        f"Masked: {order.get(options.order, 'the least salient patches first')}, {result['patch_size']} x "
        f"{result['patch_size']} pixels, in {colour}; each image its own, mean of "
        f"{count_text(options.draws, 'draw')}, the same masks for every network; {result['images']} test images. "
        "Occluded accuracy is the area under the curve: the mean over 0 to 100 % masked patches."
    )


def draw(options: argparse.Namespace) -> int:
    """Evaluate, write the files, print the table; return the exit code."""
    given = [name for name in SIZES if getattr(options, name) is not None]
    evaluation.require_at_least_one(options, "draws", "images", *given)
    study = evaluation.Evaluation.read(options)
    asked = {name: getattr(options, name) for name in ("fill", "order", "draws", *given)}
    study.measure(measure, {"kind": "occlusion", "version": VERSION, **asked})
    levels, points = study.tables(AREA, "area"), study.points(curve)
    result = next(iter(study.results.values()))
    sentence = protocol_text(options, result)
    text, tables = study.write_tables([levels], sentence, "areas")
    strip = example_strip(study.config, options, result["patch_size"])
    chance = 100 / dataset_of(study.config).num_classes
    caption = f"{sentence} Dotted: a guess. {provenance_text(*levels)}"
    figure = plot_occlusion(options.study, points, levels, strip, caption, chance)
    return study.finish(text, [*save_with_points(figure, points, options.out / "curves"), *tables])


def main(argv: list[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = evaluation.parser("occlusion.py", "Measure a study's networks on images of which parts are hidden.")
    add, orders = parser.add_argument, ("random", "salient", "non_salient")
    add("--fill", choices=("mean", "black"), default="mean", help="colour of the hidden patches (default: mean)")
    add("--order", choices=orders, default="random", help="which patches are hidden first (default: random)")
    add("--draws", type=int, default=3, metavar="N", help="random orders for each image (default: 3)")
    size = parser.add_mutually_exclusive_group()
    usual = "16 for images from 128 pixels, an eighth of the side of smaller ones"
    size.add_argument("--patch-size", type=int, metavar="PIXELS", help=f"side of a patch (default: {usual})")
    size.add_argument("--grid", type=int, metavar="N", help="patches in a row, instead of their side")
    return command.run(draw, parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
