"""Grad-CAM agrees with its formula by hand; the mixed images, and the command on checkpoints in a real store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from analysis import cam
from trainables.config import parse
from trainables.datasets.opening import dataset_of
from trainables.methods import build_network


def network(backbone: str) -> Any:
    config = parse({"dataset": "cifar10", "backbone": backbone})
    return build_network(config, dataset_of(config)).eval()


def test_grad_cam_of_a_mean_and_a_linear_head_is_the_map_weighed_by_the_class() -> None:
    net = network("resnet8")
    images, classes = torch.rand(3, 3, 16, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([4, 0, 9])
    maps = net.encode(images, len(net.backbone.stages)).detach()  # (3, D, 4, 3)
    weights = net.backbone.head.weight.detach()[classes]  # (3, D)
    expected = torch.einsum("bdhw,bd->bhw", maps, weights).relu() / (4 * 3)
    torch.testing.assert_close(cam.grad_cam(net, images, classes), expected)


def test_a_network_without_a_map_is_named() -> None:
    with pytest.raises(ValueError, match="DeiT does not"):
        cam.grad_cam(network("deit_small"), torch.rand(1, 3, 32, 32), torch.tensor([0]))


def test_mixed_images_are_half_of_each() -> None:
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 16, 12)
    mixed = cam.half_mixed(images)
    assert mixed.shape == images.shape
    assert mixed[..., :6].mean(dim=(1, 2, 3)).tolist() == [0, 1, 2]
    assert mixed[..., 6:].mean(dim=(1, 2, 3)).tolist() == [1, 2, 0]


def test_the_command(trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, _, _ = trained
    out = tmp_path / "out"

    def call(*options: str) -> int:
        return cam.main([study.study, "--tracking-uri", study.uri, "--out", str(out), "--images", "3", *options])

    for options, sentence in (
        (["--arms", "baseline,+ lan"], "--arms '+ lan' is not an arm; the arms are: baseline, + lam"),
        (["--seed", "7"], "--seed 7 has no run that is done; done: 0, 1"),
        (["--images", "1"], "--images must be at least 2, for a mixture, got 1"),
    ):
        assert call(*options) == 2
        assert capsys.readouterr().err == f"cam.py: {sentence}\n"
    assert call("--seed", "1") == 0
    assert {file.name for file in out.iterdir()} == {"cam.png", "cam.pdf", "top2.csv", "evaluations.json"}
    table = pd.read_csv(out / "top2.csv")
    assert table["cell"].tolist() == ["cutmix, baseline"] * 3 + ["cutmix, + lam"] * 3
    assert table["left"].tolist()[1:3] == table["right"].tolist()[:2]
    assert (table["top1_percent"] >= table["top2_percent"]).all()
