"""A study's classifiers become detectors of collages: the command, and a small training on real images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from analysis import detection, export
from tests.trainables.detection.collages import squares, write_collages
from trainables.backbones import BACKBONES
from trainables.classify import train
from trainables.config import parse
from trainables.datasets import cifar10
from trainables.datasets.opening import dataset_of
from trainables.detection.fine_tuning import RECIPES
from trainables.methods import build_network

ROOT = Path(__file__).parents[2]
CONFIG = {"dataset": "cifar10", "backbone": "resnet8", "epochs": 1, "mixer": "cutmix"}  # as others train
SHORT = ("--layout", "coco", "--iterations", "1", "--batch-size", "2", "--side", "64", "--train-all")


def call(study: Any, root: Path, *options: str) -> int:
    where = ("--tracking-uri", study.uri, "--out", str(root / "out"), "--data-root", str(root))
    return detection.main([study.study, *where, *options])


@pytest.mark.slow
def test_the_command(untrained, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(RECIPES, "coco", replace(RECIPES["coco"], regions=16))
    write_collages(tmp_path, *squares(8), ["red", "blue"], train=4, test=2)
    assert call(untrained(CONFIG)[0], tmp_path, *SHORT) == 0
    assert "1 iterations of 2 photographs; 2 test photographs of COCO" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert set(table["metric"]) == {"coco_ap", "coco_ap50", "coco_ap75"}
    assert list(table["n"]) == [2] * 6
    assert (tmp_path / "out" / "evaluations.json").read_text().count('"ap50"') == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--layout", "voc"), "trainval.txt cannot be read"),
        (("--iterations", "0"), "--iterations must be at least 1, got 0"),
        (("--lr", "nan"), "--lr must be above 0, got nan"),
        (("--side", "8"), "--side must be at least 32 pixels, got 8"),
    ],
)
def test_bad_input_is_one_sentence(untrained, tmp_path, capsys, options, sentence):
    assert call(untrained(CONFIG)[0], tmp_path, *options) == 2
    assert sentence in capsys.readouterr().err


def test_the_recipes_are_those_of_detectron2():
    assert (RECIPES["voc"].iterations, RECIPES["voc"].milestones) == (24_000, (18_000, 22_000))
    assert (RECIPES["coco"].iterations, RECIPES["coco"].milestones) == (180_000, (120_000, 160_000))
    for recipe in RECIPES.values():
        assert (recipe.batch_size, recipe.lr, recipe.weight_decay, recipe.test_side) == (16, 0.02, 1e-4, 800)


def test_what_cannot_be_exported_is_one_sentence(tracking_uri, tmp_path, capsys):
    out = tmp_path / "theirs.pth"
    assert export.main(["0" * 32, "--tracking-uri", tracking_uri, "--out", str(out)]) == 2
    assert "cannot be exported" in capsys.readouterr().err
    assert export.main([str(tmp_path / "none.pth"), "--back", "--out", str(out)]) == 2
    assert "none.pth is not a file of weights" in capsys.readouterr().err


@pytest.mark.slow
def test_a_network_is_exported_and_read_back(track, make_plan, tmp_path):
    study, plan = track(), make_plan(arms=("baseline",), seeds=1)
    study.add_plan(plan)
    backbone = BACKBONES["resnet18_imagenet"](num_classes=1000)
    config = {"dataset": "imagenet", "backbone": "resnet18_imagenet"}
    run_id = study.add_run(plan["trials"][0], 40.0, epochs=1, config=config)
    torch.save(backbone.state_dict(), tmp_path / "model.pt")
    study.client.log_artifact(run_id, str(tmp_path / "model.pt"))
    out, back = tmp_path / "theirs.pth", tmp_path / "ours.pt"
    assert export.main([run_id, "--tracking-uri", study.uri, "--out", str(out)]) == 0
    assert "layer4.1.bn2.weight" in torch.load(out, weights_only=True)
    assert export.main([str(out), "--back", "--out", str(back)]) == 0
    found = torch.load(back, weights_only=True)
    assert all(torch.equal(value, found[name]) for name, value in backbone.state_dict().items())


@pytest.mark.slow
def test_pictures_of_cifar_10_are_found_on_grey_noise(tmp_path):
    """A classifier and a detector find two classes; after one step few are found."""
    test = cifar10.load(ROOT / "data").test
    chosen = ((test.labels == 1) | (test.labels == 6)).nonzero()[:, 0]  # automobile, frog
    names = ["automobile", "frog"]
    write_collages(tmp_path, test.images[chosen], (test.labels[chosen] == 6).long(), names, train=200, test=30)
    kinds = {**CONFIG, "train_images": 2000, "test_images": 200, "epochs": 3, "mixer": "none"}
    weights: dict[str, Any] = {}
    train(kinds, 0, lambda epoch, save: weights.update(saved(save, tmp_path)), data_root=ROOT / "data")
    network = build_network(parse(kinds), dataset_of(parse(kinds)))
    network.backbone.load_state_dict(weights)
    recipe = replace(
        detection.recipe_of(detection.parser.parse_args(["study", *SHORT])),
        **{
            "iterations": 40,
            "sides": (96,),
            "test_side": 96,
            "milestones": (32,),
            "warmup": 10,
            "batch_size": 4,
            "lr": 0.06,
            "anchors": (32,),
            "regions": 64,
        },
    )
    protocol = {"layout": "coco", "data_root": str(tmp_path), "seed": 0}
    found, chance = (
        detection.measure(
            network.eval(), None, parse(kinds), {**protocol, "recipe": vars(replace(recipe, iterations=count))}
        )
        for count in (recipe.iterations, 1)
    )
    assert found["images"] == 30
    assert chance["ap50"] < 15
    assert found["ap50"] > 30
    assert found["ap50"] >= found["ap75"]


def saved(save: Any, folder: Path) -> Any:
    save(folder)
    file = folder / "model.pt"
    return torch.load(file, weights_only=True) if file.exists() else {}
