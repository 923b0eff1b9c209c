"""Fine-tunes a study's classifiers as object detectors (AutoMix, Table 5).

    python analysis/detection.py automix_table2_imagenet --layout voc
    python analysis/detection.py automix_table2_imagenet --layout coco --address auto

Every finished run's network is fine-tuned as a Faster R-CNN (R50-C4 where it is a ResNet-50) on PASCAL VOC 2007 and
2012, or on COCO 2017, by the recipe of MoCo, to which AutoMix's released code refers, and tested by the official
evaluation: VOC's on the test set of 2007, COCO's on its validation set. A run's seed is also the seed of its
fine-tuning. The paper does not say for how many epochs its classifiers were trained; its numbers are shown for those of
100. The command needs ``model.pt`` and the photographs in the data root, takes hours per network on a GPU, and writes
into results/detection: table.md, .csv and .tex. A network that is interrupted begins again; those that are done are
kept.
"""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from analysis import command, evaluation
from analysis.command import at_least, count, positive
from analysis.networks.evaluate import Result
from analysis.records.runs import done
from mixlab.messages import counted
from mixlab.spec.metric import Metric
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.detection.annotated import LAYOUTS
from trainables.detection.average_precision import average_precision, voc_average_precision
from trainables.detection.detector import faster_rcnn
from trainables.detection.fine_tuning import RECIPES, Recipe, detect, fine_tune

JUDGES = {"voc": voc_average_precision, "coco": average_precision}
EVALUATIONS = {"voc": "PASCAL VOC 2007, at eleven recalls", "coco": "COCO"}
MEASURES = {"ap": "AP of boxes", "ap50": "AP50 of boxes", "ap75": "AP75 of boxes"}


def measure(network: Network, source: None, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return ``ap``, ``ap50`` and ``ap75``, in percent, of the network fine-tuned as a detector."""
    device = next(network.parameters()).device
    train, test, classes = LAYOUTS[protocol["layout"]](Path(protocol["data_root"]))
    recipe = Recipe(**protocol["recipe"])
    detector = faster_rcnn(network, len(classes), recipe)
    fine_tune(detector, train, recipe, protocol["seed"], device)
    found = JUDGES[protocol["layout"]](test, detect(detector, test, device), classes)
    return {"images": len(test), **found._asdict()}


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Return the layout's recipe with what the options change."""
    recipe = RECIPES[options.layout]
    names = ("iterations", "batch_size", "lr")
    given: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
    if "iterations" in given:
        share = given["iterations"] / recipe.iterations
        given["milestones"] = tuple(round(share * milestone) for milestone in recipe.milestones)
        given["warmup"] = min(recipe.warmup, given["iterations"] // 4)
    if options.side is not None:
        anchors = tuple(max(8, round(anchor * options.side / recipe.sides[-1])) for anchor in recipe.anchors)
        given |= {"sides": (options.side,), "anchors": anchors}
    return replace(recipe, **given)


def _work(options: argparse.Namespace) -> int:
    recipe = recipe_of(options)
    study = evaluation.Evaluation.read(options)
    root = options.data_root.absolute()
    LAYOUTS[options.layout](root)  # refuses files that are missing or broken before anything is trained
    protocol = {"kind": "detection", "version": 2, "layout": options.layout, "recipe": asdict(recipe)}
    runs = done(study.runs)
    if runs.empty:
        raise ValueError("the study has no run that is done: there is nothing to fine-tune")
    for seed in sorted(runs["seed"].unique()):
        own = {**protocol, "data_root": str(root), "seed": int(seed)}
        study.measure(measure, own, runs[runs["seed"] == seed], len(runs))
    tables = []
    for name, label in MEASURES.items():
        metric = Metric(f"{options.layout}_{name}", "%", 2, higher_is_better=True, label=label)
        tables.append(study.tables(metric, name, compare=recipe == RECIPES[options.layout]))
    how = (
        f"Faster R-CNN, {counted(recipe.iterations, 'iteration')} of {counted(recipe.batch_size, 'photograph')}; "
        f"{study.images('test photograph')} of {options.layout.upper()}. "
        f"AP as by {EVALUATIONS[options.layout]}: mean over overlaps of 50 to 95 %; AP50 and AP75: at 50 and at 75 %."
    )
    return study.finish(study.write_tables(tables, how))


parser = evaluation.parser("detection.py", "Fine-tune a study's networks as object detectors.", images=None)
add = parser.add_argument
add("--layout", choices=list(LAYOUTS), default="voc", help="layout of the photographs (default: %(default)s)")
steps = "steps of the fine-tuning, with which its milestones move (default: the recipe's)"
add("--iterations", type=count, metavar="N", help=steps)
add("--batch-size", type=count, metavar="N", help="photographs in a step (default: the recipe's 16)")
add("--lr", type=positive, metavar="X", help="learning rate (default: the recipe's 0.02)")
side = "shorter side of an image, with which the proposed boxes scale (default: the recipe's)"
add("--side", type=at_least(32), metavar="PIXELS", help=side)
main = command.main(__name__, _work, parser)
