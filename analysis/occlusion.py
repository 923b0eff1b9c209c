"""Accuracy of a study's networks as more and more patches of the test images are masked (SUMix, Figure 5).

    python analysis/occlusion.py ablation_cifar100                          random patches, in the mean colour
    python analysis/occlusion.py ablation_cifar100 --order salient --fill black

Needs the finished runs' ``model.pt``. Writes into results/occlusion: curves.png, .pdf and .csv, and areas.md and .csv,
the areas under the curves with paired gains. A ResNet-18 on 1000 CIFAR images takes minutes on one CPU; what was
evaluated before is read from evaluations.json.

Exit codes: 0 done; 1 done, but some checkpoint could not be evaluated (named); 2 bad input, in one sentence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import Generator, Tensor

from analysis import command
from analysis.figures.drawing import save
from analysis.figures.occlusion_plot import plot_occlusion
from analysis.networks.evaluate import Result, load_images
from analysis.records.runs import FACTOR, METRIC, load_plan, load_runs
from analysis.statistics.tables import level_tables
from analysis.words.captions import provenance_text
from analysis.words.cells import tidy
from analysis.words.rendering import markdown, terminal_text
from mixlab.spec.metric import Metric
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.opening import dataset_of
from trainables.robustness.occlusion import (
    SHARES,
    area_under_curve,
    default_patch_size,
    mask,
    masking_ranks,
    occlusion_accuracy,
    patch_of_pixel,
)

AREA = Metric("test_top1_occluded", "%", 2, higher_is_better=True, label="top-1 accuracy, mean over masked shares")
MASK_SEED = 0  # of the masks, the same for every network
VERSION = 1  # of the evaluation; raise it when its numbers change


def measure(network: Network, images: Tensor, labels: Tensor, config: Config, protocol: Mapping[str, Any]) -> Result:
    """``accuracy``, percent, by draw and by share of masked patches, with its area, and the masked patches' size."""
    accuracy = occlusion_accuracy(
        network,
        images,
        labels,
        Generator().manual_seed(MASK_SEED),
        fill=dataset_of(config).mean if protocol["fill"] == "mean" else None,
        order=protocol["order"],
        draws=protocol["draws"],
    )
    return {
        "accuracy": accuracy.tolist(),
        "area": float(area_under_curve(accuracy.mean(0))),
        "patch_size": default_patch_size(images.shape[2]),
        "images": len(images),
    }


def example_strip(config: Config, options: argparse.Namespace) -> list[tuple[float, Tensor]]:
    """Shares, percent, and the first test image (C, H, W) with that share masked, as the networks saw it."""
    image, _ = load_images(config, 1, options.data_root)
    fill = image.new_tensor(dataset_of(config).mean if options.fill == "mean" else (0.0,) * image.shape[1])
    height, width = image.shape[2:]
    patches = patch_of_pixel(height, width, default_patch_size(height)).to(image.device)
    chance = torch.rand(1, int(patches.max()) + 1, generator=Generator().manual_seed(MASK_SEED)).to(image.device)
    ranks = masking_ranks(image, patches, options.order, chance)
    return [(share, mask(image, patches, ranks, share, fill)[0].cpu()) for share in SHARES]


def curves(runs: pd.DataFrame, results: Mapping[str, Result], factors: list[str]) -> pd.DataFrame:
    """One row a run and a share: factors, ``arm``, ``seed``, ``masked`` and ``accuracy`` (percent, mean of the draws).

    ``spread`` is the difference between the highest and the lowest draw, percentage points.
    """
    rows = []
    for run in runs.to_dict("records"):
        if run["run_id"] not in results:
            continue
        draws = zip(*results[run["run_id"]]["accuracy"], strict=True)
        for share, values in zip(SHARES, draws, strict=True):
            point = {"masked": share, "accuracy": sum(values) / len(values), "spread": max(values) - min(values)}
            rows.append({**{name: run[name] for name in (*(FACTOR + f for f in factors), "arm", "seed")}, **point})
    return pd.DataFrame(rows)


def protocol_text(options: argparse.Namespace, results: Mapping[str, Result]) -> str:
    """The protocol in a sentence."""
    result = next(iter(results.values()))
    order = {"random": "random patches", "salient": "the most salient patches first"}
    colour = "the mean colour" if options.fill == "mean" else "black"
    return (
        f"Masked: {order.get(options.order, 'the least salient patches first')}, {result['patch_size']} x "
        f"{result['patch_size']} pixels, in {colour}; each image its own, mean of {options.draws} draws, the same "
        f"masks for every network; {result['images']} test images. Occluded accuracy is the area under the curve: "
        "the mean over 0 to 100 % masked patches."
    )


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command.evaluation_parser("occlusion.py", "Accuracy of a study's networks under occlusion.")
    parser.add_argument("--fill", choices=("mean", "black"), default="mean", help="colour of the masked patches")
    parser.add_argument("--order", choices=("random", "salient", "non_salient"), default="random")
    parser.add_argument("--draws", type=int, default=3, help="sets of masks an image")
    return parser.parse_args(argv)


def draw(options: argparse.Namespace) -> int:
    """Evaluate, write the files, print the table; returns the exit code.

    Raises:
        ValueError: unknown store or study, no finished run, or an option out of range.
        DataError: the data set is missing or broken.
    """
    command.require_at_least_one(options, "draws", "images")
    plan = load_plan(options.tracking_uri, options.study, options.plan)
    runs = load_runs(options.tracking_uri, options.study, plan)
    asked = {name: getattr(options, name) for name in ("fill", "order", "draws")}
    protocol = {"kind": "occlusion", "version": VERSION, **asked}
    results, config, problems = command.evaluate("occlusion.py", options, runs, measure, protocol)
    if config is None:
        return 1
    runs[METRIC + AREA.name] = (
        runs["run_id"].map({run_id: result["area"] for run_id, result in results.items()}).astype(float)
    )
    levels = level_tables(runs, plan, AREA)
    points, sentence = curves(runs, results, plan["factors"]), protocol_text(options, results)
    points.to_csv(options.out / "curves.csv", index=False)
    tidy(levels).to_csv(options.out / "areas.csv", index=False)
    text = f"{markdown(options.study, levels)}\n{sentence}\n"
    (options.out / "areas.md").write_text(text, encoding="utf-8")
    strip, chance = example_strip(config, options), 100 / dataset_of(config).num_classes
    caption = f"{sentence} Dotted: a guess. {provenance_text(*levels)}"
    figure = plot_occlusion(options.study, points, levels, strip, caption, chance)
    files = save(figure, options.out / "curves")
    print(f"{terminal_text(options.study, levels)}\n{sentence}")
    for file in [*files, *(options.out / name for name in ("curves.csv", "areas.md", "areas.csv"))]:
        print(file)
    return 1 if problems else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    return command.run("occlusion.py", draw, parse(argv))


if __name__ == "__main__":
    sys.exit(main())
