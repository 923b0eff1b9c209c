"""Tests a study's networks on images of none of their classes, and on images that fool other networks.

    python analysis/out_of_distribution.py STUDY                    ImageNet-O and -A, for networks of ImageNet
    python analysis/out_of_distribution.py STUDY --images 1000      a tenth of them

K-image mixing, Tables 4 and 5; D. Hendrycks et al., CVPR 2021, arXiv:1907.07174. The area under the precision-recall
curve (AUPR) is that of finding the images of no known class by their low confidence; by chance it is their share. For
networks of ``cifar8``, CIFAR-10 without birds and trucks, those two classes are the images of no known class: any study
takes ``--dataset cifar8``. The command needs the finished runs' ``model.pt``, and writes into
results/out_of_distribution: table.md, .csv and .tex, and confidence.png, .pdf, .tex and .csv.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analysis import command, evaluation
from analysis.figures.drawing import line_and_band
from analysis.figures.plots import plot_two_lines
from analysis.networks.evaluate import Result, batches
from analysis.records.runs import done, setting
from mixlab.spec.metric import Metric
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets import EVALUATION_SETS
from trainables.datasets.dataset import INSIDE, OUTSIDE, BatchSource, EvaluationSet
from trainables.datasets.opening import open_evaluation
from trainables.device.hardware import device
from trainables.robustness.classifier import predict, top1
from trainables.robustness.out_of_distribution import aupr_of_outsiders, confidence

WHOLE = 10_000  # with so many images asked for, every image of a set is shown; with fewer, as large a share of each
STEPS = 50  # points on the curve over the confidence
WITH_CLASSES = "all"  # the part of a set whose images have known classes
LABELS = {
    "test_top1_clean": "top-1 accuracy on the test set",
    "imagenet_a_top1": "top-1 accuracy on ImageNet-A, of its 200 classes",
    "imagenet_o_aupr": "AUPR of ImageNet-O by low confidence, of its 200 classes",
    "cifar8_o_aupr": "AUPR of the two held-out classes of CIFAR-10 by low confidence",
}
MEASURES = {name: Metric(name, "%", 2, higher_is_better=True, label=label) for name, label in LABELS.items()}


def sets_for(dataset: str) -> list[EvaluationSet]:
    """Return the sets of this command for classifiers of a data set; ``ValueError`` if there are none."""
    kinds = ((OUTSIDE, INSIDE), (WITH_CLASSES,))
    every = [found for found in EVALUATION_SETS.values() if found.parts in kinds]
    if wanted := [found for found in every if found.trained_on == dataset]:
        return wanted
    known = ", ".join(sorted({found.trained_on for found in every}))
    raise ValueError(f"there are images of no known class for networks of {known}; those of the study are of {dataset}")


def measure(network: Network, source: BatchSource, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return the accuracy or the AUPR of each set, and how many images of each part are at least so confident."""
    found: Result = {"test_top1_clean": top1(*_outputs(network, source, config))}
    root, share = Path(protocol["data_root"]), min(1.0, protocol["images"] / WHOLE)
    for one in sets_for(config.dataset):
        classes = one.classes(root) if one.classes else None
        outputs = {
            part: _outputs(network, open_evaluation(one.name, part, config, root, device(), share=share), config)
            for part in one.parts
        }
        if one.parts == (WITH_CLASSES,):
            found[f"{one.name}_top1"] = top1(*outputs[WITH_CLASSES], classes)
            continue
        sure = {part: confidence(logits, classes) for part, (logits, _) in outputs.items()}
        found[f"{one.name}_aupr"] = aupr_of_outsiders(sure[INSIDE], sure[OUTSIDE])
        found["chance"] = 100 * len(sure[OUTSIDE]) / sum(map(len, sure.values()))
        found["curves"] = {part: _at_least(values) for part, values in sure.items()}
    return found


def _outputs(network: Network, source: BatchSource, config: Config) -> tuple[Tensor, Tensor]:
    """Return logits (N, L) and labels (N,), on the CPU."""
    parts = [(predict(network, images).cpu(), labels.cpu()) for images, labels in batches(source, config)]
    return torch.cat([logits for logits, _ in parts]), torch.cat([labels for _, labels in parts])


def _at_least(sure: Tensor) -> list[float]:
    """Return the share of images, in percent, whose confidence is at least 0, 1 / STEPS, ..., 1."""
    thresholds = torch.linspace(0, 1, STEPS + 1, dtype=torch.float64)
    return [100 * float((sure >= threshold).double().mean()) for threshold in thresholds]


def curve(result: Result) -> list[dict[str, Any]]:
    """Return ``part``, ``x`` (confidence) and ``y`` (the share of images), both percent, of every point."""
    return [
        {"part": part, "x": 100 * step / STEPS, "y": share}
        for part, shares in result.get("curves", {}).items()
        for step, share in enumerate(shares)
    ]


def _work(options: argparse.Namespace) -> int:
    study = evaluation.Evaluation.read(options)
    root = options.data_root.absolute()
    for dataset in filter(None, setting(done(study.runs), "dataset").unique()):
        for one in sets_for(str(dataset)):
            one.prepare(root)
    protocol = {"kind": "out_of_distribution", "version": 1, "data_root": str(root)}
    study.measure(measure, protocol)
    logged = {name for result in study.results.values() for name in result}
    tables = {name: study.tables(metric, name) for name, metric in MEASURES.items() if name in logged}
    chances = sorted({f"{result['chance']:.1f}" for result in study.results.values()}, key=float)
    how = (
        f"{min(100, 100 * options.images / WHOLE):g} % of the images of each set, and {study.images()}, "
        f"evenly spaced. A network's confidence is its largest probability; an AUPR by chance is "
        f"{' or '.join(chances)} %, the share of images of no known class."
    )
    text = study.write_tables(tables.values(), how)
    points = study.points(curve)
    levels = next(levels for name, levels in tables.items() if name.endswith("_aupr"))
    caption = f"{how} Solid: images of known classes; dashed: of none; {line_and_band(points)}."
    looks = {"parts": (INSIDE, OUTSIDE), "labels": ("confidence, %", "images at least so confident, %"), "width": 100}
    study.draw("confidence", plot_two_lines, points, levels, caption, **looks)
    return study.finish(text)


parser = evaluation.parser("out_of_distribution.py", "Measure networks on images of no known class.", images=WHOLE)
main = command.main(__name__, _work, parser)
