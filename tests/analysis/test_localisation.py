"""The command finds pasted objects in the layout of CUB, whatever the shape of the image."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from analysis import localisation
from analysis.evaluation import Evaluation
from analysis.networks.evaluate import open_images
from trainables.backbones.backbone import Backbone, Network
from trainables.config import Config, parse
from trainables.datasets import DATASETS, cub200
from trainables.datasets.opening import dataset_of
from trainables.datasets.photographs import photographs

CONFIG = {"dataset": "cub200", "backbone": "resnet18_imagenet", "image_size": 64, "epochs": 1}
SMALL = {**CONFIG, "backbone": "resnet8", "image_size": 32}
SHAPES = ((160, 80), (90, 150), (64, 64), (200, 100))  # width, height
FILES = {"bounding_boxes.txt", "images.txt", "image_class_labels.txt", "train_test_split.txt"}


@pytest.fixture
def birds(tmp_path, monkeypatch) -> Path:
    """Return a data root with red objects on grey textures, two training and four test images in the layout of CUB.

    This process reads them by itself: so few take less time than another process to begin.
    """
    monkeypatch.setattr(torch, "get_num_threads", lambda: 0)
    rng, folder = np.random.default_rng(0), tmp_path / "CUB_200_2011"
    lines: dict[str, list[str]] = {file: [] for file in FILES}
    for number, (width, height) in enumerate((*SHAPES, *SHAPES[:2]), 1):
        label = number % 2
        name = f"{label + 1:03d}.Bird/{number}.png"
        pixels = np.repeat(rng.integers(90, 160, (height, width, 1), dtype=np.uint8), 3, axis=2)
        left, top, across, down = width // 4, height // 3, width // 2, height // 2
        pixels[top : top + down, left : left + across] = (255, 0, 0)
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / "images" / name)
        lines["images.txt"].append(f"{number} {name}")
        lines["bounding_boxes.txt"].append(f"{number} {left:.1f} {top:.1f} {across:.1f} {down:.1f}")
        lines["image_class_labels.txt"].append(f"{number} {label + 1}")
        lines["train_test_split.txt"].append(f"{number} {int(number > len(SHAPES))}")
    for file, rows in lines.items():
        (folder / file).write_text("\n".join(rows) + "\n")

    small = photographs(title="", num_classes=2, num_train=2, num_test=4, files=cub200.files, remedy="")
    monkeypatch.setitem(DATASETS.data, "cub200", replace(DATASETS["cub200"], load=small.load, num_classes=2))
    return tmp_path


class Red(nn.Module):
    """Reports how much redder than green each cell of two by two pixels is."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images[:, :1] - images[:, 1:2], 2)


def red_seeker(config: Config) -> Network:
    backbone = Backbone([Red()], 1, 2)
    nn.init.ones_(backbone.head.weight)
    dataset = dataset_of(config)
    return Network(backbone, dataset.mean, dataset.std).eval()


def test_pasted_objects_are_found_and_as_a_hole_by_evidence_against_them(birds):
    """The texture's own box is the whole image, which overlaps the object by a quarter: too little."""
    config, protocol = parse(CONFIG), {"data_root": str(birds)}
    network = red_seeker(config)
    found = localisation.measure(network, open_images(config, 4, birds), config, protocol)
    assert (found["max_box_acc_70"], found["max_box_acc_v2"]) == (100, 100)
    nn.init.constant_(network.backbone.head.weight, -1.0)
    found = localisation.measure(network, open_images(config, 4, birds), config, protocol)
    assert found["max_box_acc_70"] == 100


@pytest.mark.slow
def test_the_command_writes_the_mean_over_the_three_overlaps(birds, untrained, out, capsys):
    assert untrained(SMALL).call(localisation, "--out", str(out), "--data-root", str(birds)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "at the best threshold. MaxBoxAccV2: mean over overlaps of 30, 50 and 70 %." in said
    table = pd.read_csv(out / "table.csv")
    assert set(table["metric"]) == set(localisation.MEASURES)
    means = table.pivot_table(index="arm", columns="metric", values="mean")
    assert np.allclose(means["max_box_acc_v2"], means[localisation.AT].mean(axis=1))


@pytest.mark.slow
def test_boxes_that_are_not_there_are_one_sentence(birds, untrained, out, capsys):
    (birds / "CUB_200_2011" / "bounding_boxes.txt").unlink()
    assert untrained(SMALL).call(localisation, "--out", str(out), "--data-root", str(birds)) == 2
    assert "bounding_boxes.txt cannot be read" in capsys.readouterr().err


def test_only_the_tables_of_data_sets_with_boxes_are_measured():
    """A study may have birds and aircraft, and a run that has not begun has logged no data set."""
    cells = [("a", "cub200", "cub200"), ("b", "cub200", ""), ("c", "aircraft", "aircraft"), ("d", "aircraft", "")]
    runs = pd.DataFrame(cells, columns=["key", "factor.dataset", "config.dataset"])
    plan = {"factors": {"dataset": ["cub200", "aircraft"]}, "trials": [{"key": key} for key in "abcd"]}
    birds = localisation.of_boxes(Evaluation(Namespace(), plan, runs))
    assert list(birds.runs["key"]) == ["a", "b"]
    assert birds.plan["trials"] == [{"key": "a"}, {"key": "b"}]
