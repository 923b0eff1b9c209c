"""Shows where a study's networks look: Grad-CAM on test images, and on mixed images of two classes.

    python analysis/cam.py ablation_cifar100                        the baseline and the last arm, 6 images
    python analysis/cam.py ablation_cifar100 --arms baseline,"+ l_su" --images 8 --seed 1

Grad-CAM (Selvaraju et al., ICCV 2017, arXiv:1610.02391) by Captum, on the last feature map. All arms see the same
images: on a test image the map of its own class; on a CutMix of two of them, half each, the maps of the two classes,
and the two classes that the network predicts. The command needs the finished runs' ``model.pt``, takes seconds per
network, and writes cam.png, .pdf and top2.csv into results/cam.

Exit codes: 0 done; 1 done, but some checkpoint could not be evaluated (named); 2 bad input, in one sentence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from captum.attr import LayerGradCam
from torch import Tensor

from analysis import command, evaluation
from analysis.figures.cam_plot import CamRow, plot_cam
from analysis.figures.drawing import save
from analysis.networks.evaluate import Result, all_of, open_images
from analysis.records.runs import FACTOR, done
from analysis.statistics.tables import LevelTable, level_tables
from analysis.words.captions import provenance_text
from trainables.backbones.backbone import Backbone, Network
from trainables.config import Config
from trainables.datasets.dataset import BatchSource
from trainables.datasets.opening import dataset_of

VERSION = 1  # the version of the evaluation; raise it when its numbers change
PROTOCOL = {"kind": "cam", "version": VERSION}
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
CLASS_NAMES = {"cifar10": CIFAR10.split()}  # other data sets have "class 17"


def grad_cam(network: Network, images: Tensor, classes: Tensor) -> Tensor:
    """Return Grad-CAM of the last feature map, (B, h, w), at least 0: the evidence for a class at each position.

    Args:
        network: a network in evaluation mode, with a grid of positions as its last map (``Backbone.grid``).
        images: (B, C, H, W) pixels in [0, 1].
        classes: (B,) int64, the class that is explained for each image.

    Raises:
        ValueError: the network reads its class from a token, so the positions of its last map have no gradient.
    """
    if type(network.backbone).grid is not Backbone.grid:
        name = type(network.backbone).__name__
        raise ValueError(f"Grad-CAM needs a network that ends with the mean of a map of places, which {name} does not")
    explained = LayerGradCam(network, network.backbone.stages[-1])
    maps = explained.attribute(images, target=classes, relu_attributions=True, attr_dim_summation=True)
    return maps.detach().squeeze(1)


def half_mixed(images: Tensor) -> Tensor:
    """Return CutMix at lambda 0.5, (N, C, H, W): each image gets the right half of the next, the last the first's."""
    half = images.shape[3] // 2
    return torch.cat((images[..., :half], images.roll(-1, 0)[..., half:]), dim=3)


def measure(network: Network, source: BatchSource, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return maps (N, h, w) of the own class and of both classes of mixed images, and their two likeliest classes."""
    images, labels = all_of(source, config)
    mixed = half_mixed(images)
    with torch.no_grad():
        sure = network(mixed).softmax(1).topk(2)
    return {
        "own": grad_cam(network, images, labels).tolist(),
        "left": grad_cam(network, mixed, labels).tolist(),
        "right": grad_cam(network, mixed, labels.roll(-1, 0)).tolist(),
        "classes": sure.indices.tolist(),
        "confidence": (100 * sure.values).tolist(),
    }


def chosen(runs: pd.DataFrame, plan: Mapping[str, Any], arms: str | None, seed: int | None) -> pd.DataFrame:
    """Return one run of each arm and level, all of one seed.

    Raises:
        ValueError: the study does not have the arm or the seed.
    """
    ends = [plan["baseline"], plan["arms"][-1]]
    wanted = ends if arms is None else [arm.strip() for arm in arms.split(",")]
    for arm in wanted:
        if arm not in plan["arms"]:
            raise ValueError(f"--arms {arm!r} is not an arm; the arms are: {', '.join(plan['arms'])}")
    finished = done(runs)[done(runs)["arm"].isin(wanted)]
    if finished.empty:
        raise ValueError("the study has no run of these arms that is done: there is nothing to evaluate")
    seeds = sorted(int(known) for known in finished["seed"].unique())
    if seed is not None and seed not in seeds:
        raise ValueError(f"--seed {seed} has no run that is done; done: {', '.join(map(str, seeds))}")
    return finished[finished["seed"] == (seeds[0] if seed is None else seed)]


def top_two(rows: Sequence[CamRow], names: Sequence[str]) -> pd.DataFrame:
    """Return, per network and mixed image, the two likeliest classes, in percent, and whether they are those in it."""
    found = []
    for row in rows:
        for place, (two, sure) in enumerate(zip(row.result["classes"], row.result["confidence"], strict=True)):
            inside = {row.labels[place], row.labels[(place + 1) % len(row.labels)]}
            cells = {"cell": row.name, "image": place, "left": names[row.labels[place]]}
            cells |= {"right": names[row.labels[(place + 1) % len(row.labels)]]}
            cells |= {f"top{n + 1}": names[two[n]] for n in range(2)}
            cells |= {f"top{n + 1}_percent": sure[n] for n in range(2)}
            found.append({**cells, "both": set(two) == inside})
    return pd.DataFrame(found)


def draw(options: argparse.Namespace) -> int:
    """Evaluate, write the files and print where they are; return the exit code.

    Raises:
        ValueError: unknown arm or seed, no run that is done, or an option out of range.
        BadInput: unknown store or study.
        DataError: the data set is missing or broken.
    """
    if options.images < 2:
        raise ValueError(f"--images must be at least 2, for a mixture, got {options.images}")
    study = evaluation.Evaluation.read("cam.py", options)
    levels = level_tables(study.runs, study.plan)
    picked = chosen(study.runs, study.plan, options.arms, options.seed)
    study.measure(measure, PROTOCOL, picked)
    config, results = study.found.config, study.found.results
    if config is None:
        return 1
    images, labels = (part.cpu() for part in all_of(open_images(config, options.images, options.data_root), config))
    names = CLASS_NAMES.get(config.dataset) or [f"class {n}" for n in range(dataset_of(config).num_classes)]
    rows = [
        CamRow(cell_name(row, levels), row["arm"], labels.tolist(), results[row["run_id"]])
        for row in picked.to_dict("records")
        if row["run_id"] in results
    ]
    table = top_two(rows, names)
    table.to_csv(options.out / "top2.csv", index=False)
    caption = (
        "Grad-CAM of the last feature map, each map scaled to its own maximum. Test images (first line): the map of "
        "the image's own class. Mixed images (right half from the next one): the maps of the left and of the right "
        f"class, and the two classes predicted, %; tick: it is in the mixture. "
        f"Seed {picked['seed'].iloc[0]}. {provenance_text(*levels)}"
    )
    figure = plot_cam(options.study, rows, levels[0], (images, half_mixed(images)), names, caption)
    files = [*save(figure, options.out / "cam"), options.out / "top2.csv"]
    both = table.groupby("cell", sort=False)["both"].sum()
    text = [f"{cell}: names both classes of {count} of {len(labels)} mixed images" for cell, count in both.items()]
    return study.finish("\n".join(text), files)


def cell_name(row: Mapping[Any, Any], levels: list[LevelTable]) -> str:
    """Return level and arm, e.g. ``cutmix, + lam``."""
    return ", ".join([*(str(row[FACTOR + factor]) for factor in levels[0].levels), str(row["arm"])])


def main(argv: list[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = evaluation.parser("cam.py", "Where a study's networks look: Grad-CAM.", images=6)
    parser.add_argument("--arms", metavar="A,B", help="only these arms (default: the baseline and the last arm)")
    parser.add_argument("--seed", type=int, help="whose networks (default: the first that finished)")
    return command.run("cam.py", draw, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
