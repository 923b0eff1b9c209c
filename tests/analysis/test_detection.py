"""A study's classifiers become detectors of collages: the command, and a small training on real images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from analysis import detection, export
from tests.analysis.planned import make_plan
from tests.trainables.detection.collages import squares, write_collages
from trainables.backbones import BACKBONES
from trainables.classify import train
from trainables.config import parse
from trainables.datasets import cifar10
from trainables.detection import fine_tuning
from trainables.detection.fine_tuning import RECIPES
from trainables.methods import build_network

ROOT = Path(__file__).parents[2]
SHORT = ("--layout", "coco", "--iterations", "1", "--batch-size", "2", "--side", "64")


@pytest.mark.slow
def test_the_command_fine_tunes_and_tests_every_network(trained, tmp_path, out, capsys, monkeypatch):
    monkeypatch.setitem(RECIPES, "coco", replace(RECIPES["coco"], regions=16))
    seeds = []
    monkeypatch.setattr(detection, "fine_tune", lambda *given: seeds.append(given[3]))
    write_collages(tmp_path, *squares(8), ["red", "blue"], train=4, test=2)
    assert trained.call(detection, "--out", str(out), "--data-root", str(tmp_path), *SHORT) == 0
    said, progress = capsys.readouterr()
    how = "1 iteration of 2 photographs; 2 test photographs of COCO. AP as by COCO: mean over overlaps of 50"
    assert how in " ".join(said.split())
    assert progress.splitlines() == [f"evaluated {number} of 4 networks" for number in (1, 2, 3, 4)]
    table = pd.read_csv(out / "table.csv")
    assert set(table["metric"]) == {"coco_ap", "coco_ap50", "coco_ap75"}
    assert list(table["n"]) == [2] * 6
    assert seeds == [0, 0, 1, 1]  # each run's own
    assert (out / "evaluations.json").read_text().count('"ap50"') == 4


def test_what_cannot_be_exported_is_one_sentence(tracking_uri, tmp_path, capsys):
    out = tmp_path / "theirs.pth"
    assert export.main(["0" * 32, "--tracking-uri", tracking_uri, "--out", str(out)]) == 2
    assert "cannot be exported" in capsys.readouterr().err
    assert export.main([str(tmp_path / "none.pth"), "--back", "--out", str(out)]) == 2
    assert "none.pth' cannot be used (No such file or directory)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_network_is_exported_and_read_back(track, tmp_path, out):
    study, backbone = track(), BACKBONES["resnet18_imagenet"](num_classes=1000)
    config = {"dataset": "imagenet", "backbone": "resnet18_imagenet"}
    study.add_all(make_plan(arms=("baseline",), seeds=1), lambda _: 40.0, lambda _: config, epochs=1)
    torch.save(backbone.state_dict(), tmp_path / "model.pt")
    study.add_file(tmp_path / "model.pt")
    (run_id,), back = study.run_ids.values(), tmp_path / "ours.pt"
    assert export.main([run_id, "--tracking-uri", study.uri, "--out", str(out)]) == 0
    assert "layer4.1.bn2.weight" in torch.load(out, weights_only=True)
    assert export.main([str(out), "--back", "--out", str(back)]) == 0
    found = torch.load(back, weights_only=True)
    assert all(torch.equal(value, found[name]) for name, value in backbone.state_dict().items())


@pytest.mark.slow
def test_pictures_of_cifar_10_are_found_on_grey_noise(tmp_path, monkeypatch):
    """A classifier and a detector find two classes; after one step few are found."""
    test = cifar10.load(ROOT / "data").test
    chosen = ((test.labels == 1) | (test.labels == 6)).nonzero()[:, 0]  # automobile, frog
    names = ["automobile", "frog"]
    write_collages(tmp_path, test.images[chosen], (test.labels[chosen] == 6).long(), names, train=200, test=30)
    kinds = {"dataset": "cifar10", "backbone": "resnet8", "train_images": 800, "test_images": 10, "epochs": 3}
    train(kinds, 0, lambda epoch, save: save(tmp_path), data_root=ROOT / "data")
    network = build_network(parse(kinds))
    network.backbone.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    small = {"sides": (96,), "milestones": (32,), "warmup": 10}
    small |= {"batch_size": 4, "lr": 0.04, "anchors": (32,), "regions": 64}
    monkeypatch.setattr(fine_tuning, "NORM_BATCHES", 10)
    recipe = replace(detection.recipe_of(detection.parser.parse_args(["study", *SHORT])), **small)

    def measured(iterations: int) -> Any:
        protocol = {"layout": "coco", "data_root": str(tmp_path), "seed": 0}
        protocol["recipe"] = vars(replace(recipe, iterations=iterations))
        return detection.measure(network.eval(), None, parse(kinds), protocol)

    found, chance = measured(40), measured(1)
    assert found["images"] == 30
    assert chance["ap50"] < 15
    assert found["ap50"] > 20
    assert found["ap50"] >= found["ap75"]
