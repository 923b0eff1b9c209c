"""Grad-CAM agrees with its formula by hand; the mixed images, and the command on checkpoints in a real store."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch

from analysis import cam
from analysis.networks.checkpoint import CheckpointError
from analysis.networks.class_names import CIFAR10, class_names
from trainables.backbones.backbone import Network
from trainables.backbones.names import constructor_of
from trainables.config import parse
from trainables.datasets.file_list import FileList
from trainables.methods import build_network


def network(backbone: str) -> Any:
    config = parse({"dataset": "cifar10", "backbone": backbone})
    return build_network(config).eval()


def test_grad_cam_of_a_mean_and_a_linear_head_is_the_map_weighed_by_the_class():
    net = network("resnet8")
    images, classes = torch.rand(3, 3, 16, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([4, 0, 9])
    maps = net.encode(images, len(net.backbone.stages)).detach()  # (3, D, 4, 3)
    weights = net.backbone.head.weight.detach()[classes]  # (3, D)
    expected = torch.einsum("bdhw,bd->bhw", maps, weights).relu() / (4 * 3)
    torch.testing.assert_close(cam.grad_cam(net, images, classes), expected)


@pytest.mark.parametrize(
    ("name", "sides"), [("test_resnet", (4, 4)), ("test_vit2", (8, 8)), ("levit_128s", (2, 2)), ("test_vit", None)]
)
def test_a_model_of_timm_that_ends_with_a_mean_has_a_map(name, sides):
    backbone = constructor_of(f"timm/{name}")(num_classes=5, image_size=128).eval()
    net = Network(backbone, mean=(0.5,) * 3, std=(0.25,) * 3).eval()
    images, classes = torch.rand(2, 3, 128, 128), torch.tensor([0, 1])
    if sides is None:
        with pytest.raises(CheckpointError, match="ends with the mean of a map, which TimmTransformer does not"):
            cam.grad_cam(net, images, classes)
    else:
        assert cam.grad_cam(net, images, classes).shape == (2, *sides)


def test_mixed_images_are_half_of_each():
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 16, 12)
    mixed = cam.half_mixed(images)
    assert mixed.shape == images.shape
    assert mixed[..., :6].mean(dim=(1, 2, 3)).tolist() == [0, 1, 2]
    assert mixed[..., 6:].mean(dim=(1, 2, 3)).tolist() == [1, 2, 0]


@pytest.mark.slow
def test_the_command_draws_every_arm_and_lists_the_two_likeliest_classes(trained, painted, out):
    assert trained.call(cam, "--out", str(out), "--images", "3", "--seed", "1") == 0
    assert {file.name for file in out.iterdir()} == {"cam.png", "cam.pdf", "cam.tex", "top2.csv", "evaluations.json"}
    table = pd.read_csv(out / "top2.csv")
    assert table["cell"].tolist() == ["cutmix · baseline"] * 3 + ["cutmix · + lam"] * 3
    assert table["first"].tolist()[1:3] == table["second"].tolist()[:2]
    assert (table["top1_percent"] >= table["top2_percent"]).all()
    assert table["share_of_first"].between(0.4, 0.6).all()
    assert set(table["first"]) <= set(CIFAR10)


@pytest.mark.slow
def test_the_images_may_be_picked(trained, out, capsys):
    assert trained.call(cam, "--out", str(out), "--pick", "7, 12", "--arms", "baseline") == 0
    assert "of 2 mixtures" in capsys.readouterr().out
    assert pd.read_csv(out / "top2.csv")["first"].tolist() == [CIFAR10[7], CIFAR10[2]]


def test_a_mixture_of_one_class_has_no_two_classes_to_name():
    """The first and the last of three images are birds, so that two of three mixtures count."""
    measured = {"classes": [[2, 5], [5, 3], [2, 5]], "confidence": [[60, 20]] * 3, "shares": [0.5] * 3}
    table = cam.top_two([cam.CamRow("CutMix", "CutMix", [2, 5, 2], measured)], CIFAR10)
    assert table["both"].tolist() == [True, False, None]


def test_mixtures_are_by_the_mixer_of_the_run_and_half_of_each_without_one():
    net, images, labels = network("resnet8"), torch.rand(3, 3, 32, 32), torch.tensor([1, 2, 3])
    plain = parse({"dataset": "cifar10", "backbone": "resnet8", "mixer": "none"})
    assert torch.equal(cam.mixtures(net, plain, images, labels)[0], cam.half_mixed(images))
    mixed, shares = cam.mixtures(net, replace(plain, mixer="mixup"), images, labels)
    lam = torch.tensor(shares)[:, None, None, None]
    torch.testing.assert_close(mixed, lam * images + (1 - lam) * images.roll(-1, 0))
    with pytest.raises(ValueError, match="'manifoldmix' mixes hidden maps"):
        cam.mixtures(net, replace(plain, mixer="manifoldmix"), images, labels)


def test_three_arms_are_shown_and_of_more_the_first_and_the_last():
    arms = ["none", "CutMix", "raw pass", "SUMix"]
    plan = {"arms": arms, "baseline": "none", "controls": ["raw pass"]}
    assert cam.default_arms(plan) == ["none", "CutMix", "SUMix"]
    assert cam.default_arms({"arms": arms, "baseline": "none"}) == ["none", "SUMix"]


def test_every_class_has_a_name(tmp_path):
    counts = {"cifar10": 10, "cifar8": 8, "cifar100": 100, "fashion_mnist": 10, "imagenet": 1000}
    for dataset, count in counts.items():
        config = parse({"dataset": dataset})
        names = class_names(config, FileList.of(tmp_path, [], []))
        assert len(names) == count
        assert not any(name.startswith("class ") for name in names)
    birds = FileList.of(tmp_path, ["001.Black_footed_Albatross/a.jpg", "n01443537/images/b.jpg", "c.jpg"], [0, 7, 8])
    names = class_names(parse({"dataset": "cub200"}), birds)
    assert [names[label] for label in (0, 7, 8, 9)] == ["Black footed Albatross", "class 7", "class 8", "class 9"]
