"""Measures how well a study's classifiers find the object that they name: MaxBoxAccV2 on CUB (AutoMix, Table 6).

    python analysis/localisation.py automix_table3_fine_tuned

For every test image the class activation map of its true class gives boxes, at a thousand thresholds; the accuracy is
the share of images in which one of them overlaps the true box by 30, 50 or 70 %, each at its best threshold, and
MaxBoxAccV2 is the mean of the three (the paper does not say whether its number is). Images are squeezed to a square,
not cropped. The command needs the finished runs' ``model.pt`` and the data set's bounding_boxes.txt, takes minutes per
network, and writes into results/localisation: table.md, .csv and .tex.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis import command, evaluation
from analysis.evaluation import Evaluation
from analysis.networks.evaluate import Result, batches
from analysis.records.runs import FACTOR, done, setting
from mixlab.spec.metric import Metric
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets import DATASETS
from trainables.datasets.dataset import BatchSource
from trainables.datasets.decoding import View
from trainables.datasets.streamed import Streamed
from trainables.robustness.localisation import OVERLAPS, accuracies, as_shown, class_activation_maps, overlaps, resized

AT = [f"max_box_acc_{100 * share:.0f}" for share in OVERLAPS]
OF_SHARES = [f"share of images with a box that overlaps by {share * 100:.0f} % or more" for share in OVERLAPS]
LABELS = {"max_box_acc_v2": "MaxBoxAccV2", **dict(zip(AT, OF_SHARES, strict=True))}
MEASURES = {name: Metric(name, "%", 2, higher_is_better=True, label=label) for name, label in LABELS.items()}


def measure(network: Network, source: BatchSource, config: Config, protocol: Mapping[str, Any]) -> Result:
    """Return the accuracy at each overlap, and their mean, of the boxes of the maps of the true classes."""
    assert isinstance(source, Streamed)  # images with boxes are photographs
    files, side = source.files, config.side
    read_boxes = DATASETS[config.dataset].boxes
    assert read_boxes is not None  # checked before
    boxes = read_boxes(Path(protocol["data_root"]))
    view = View(size=side, resize=None, squeeze=True, interpolation=config.interpolation)
    squeezed = Streamed(files, source.device, train_view=view, test_view=view, augment=None, workers=source.workers)
    found: list[NDArray[np.float64]] = []
    for images, labels in batches(squeezed, config):
        for evidence in class_activation_maps(network, images, labels).float().cpu().numpy():
            with Image.open(files.path(len(found))) as image:
                box = resized(boxes[files.name(len(found))], image.size, side)
            found.append(overlaps(as_shown(evidence, side), np.array([box], np.float64)))
    at_each = accuracies(found)
    mean = sum(at_each) / len(at_each)
    return {"max_box_acc_v2": mean, **dict(zip(AT, at_each, strict=True))}


def of_boxes(study: Evaluation) -> Evaluation:
    """Return the study with only the tables of data sets that have boxes; raise ``ValueError`` if there is none."""
    datasets, columns = setting(study.runs, "dataset"), [FACTOR + factor for factor in study.plan["factors"]]
    without = {name for name in datasets if name and DATASETS[name].boxes is None}
    levels = [tuple(row) for row in study.runs[columns].to_numpy()]
    left_out = {level for level, name in zip(levels, datasets, strict=True) if name in without}
    if left_out == set(levels):
        known = ", ".join(name for name, one in DATASETS.items() if one.boxes)
        raise ValueError(f"there are boxes for networks of {known}; those of the study are of {', '.join(without)}")
    runs = study.runs[[level not in left_out for level in levels]]
    trials = [trial for trial in study.plan["trials"] if trial["key"] in set(runs["key"])]
    return replace(study, plan={**study.plan, "trials": trials}, runs=runs)


def _work(options: argparse.Namespace) -> int:
    study = of_boxes(Evaluation.read(options))
    root = options.data_root.absolute()
    for dataset in filter(None, setting(done(study.runs), "dataset").unique()):
        if (read_boxes := DATASETS[dataset].boxes) is not None:
            read_boxes(root)
    study.measure(measure, {"kind": "localisation", "version": 1, "data_root": str(root)})
    tables = [study.tables(metric, name) for name, metric in MEASURES.items()]
    shown = f"{study.images()}, evenly spaced, squeezed to a square"
    how = f"{shown}; maps of the true class, at the best threshold. MaxBoxAccV2: mean over overlaps of 30, 50 and 70 %."
    return study.finish(study.write_tables(tables, how))


parser = evaluation.parser("localisation.py", "Measure MaxBoxAccV2 of a study's networks.", images=5794)
main = command.main(__name__, _work, parser)
