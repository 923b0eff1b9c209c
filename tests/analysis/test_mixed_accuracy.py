"""Accuracy on mixtures by hand, the means over lambda, and the command on checkpoints in a real store."""

import pandas as pd
import pytest
import torch
from torch import nn

from analysis import mixed_accuracy
from analysis.mixed_accuracy import recognised
from trainables.config import parse
from trainables.datasets.dataset import Split
from trainables.datasets.resident import Resident


def test_right_at_top_1_and_at_top_2_by_hand():
    logits = torch.tensor([[5.0, 4.0, 0.0], [5.0, 0.0, 4.0], [0.0, 5.0, 4.0], [1.0, 0.0, 9.0], [3.0, 2.0, 1.0]])
    classes = torch.tensor([[1, 0], [0, 1], [2, 0], [0, 1], [1, 1]])
    counts, first, both = (part.tolist() for part in recognised(logits, classes))
    assert counts == [True, True, True, True, False]
    assert first[:4] == [True, True, False, False]
    assert both[:4] == [True, False, False, False]


def test_with_three_images_the_three_likeliest_count():
    logits = torch.tensor([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 1.0, 2.0]])
    counts, first, every = recognised(logits, torch.tensor([[2, 0, 1], [2, 0, 1]]))
    assert (counts.all(), first.all(), every.tolist()) == (True, True, [True, False])


class Brightness(nn.Module):
    """Two classes, black and white; the likelier is the one that has more of the image."""

    def forward_features(self, images: torch.Tensor, depth: int = 0) -> torch.Tensor:
        return images.mean(dim=(1, 2, 3))[:, None]

    def head(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat((0.5 - features, features - 0.5, torch.full_like(features, -9)), dim=1)


def test_a_network_that_sees_the_shares_is_always_right_and_every_draw_has_a_lambda_of_its_own():
    images = torch.stack((torch.zeros(3, 32, 32), torch.full((3, 32, 32), 255.0))).repeat(3, 1, 1, 1).to(torch.uint8)
    source = Resident(Split(images, torch.arange(6) % 2), "cpu", augment=None)
    config = parse({"dataset": "cifar10", "backbone": "resnet8", "mixer": "mixup"})
    found = mixed_accuracy.measure(Brightness(), source, config, {"mixer": None, "draws": 120})
    assert [row[0] for row in found["points"]] == [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]
    assert (found["mixed_top1"], found["mixed_top2"]) == (100, 100)
    few = mixed_accuracy.measure(Brightness(), source, config, {"mixer": None, "draws": 60})["points"]
    assert 0 < len(few) < 10  # some ranges have fewer than 20 mixtures


@pytest.mark.slow
def test_the_command_writes_curves_whose_means_are_in_the_table(trained, out, capsys):
    few = ("--out", str(out), "--images", "10", "--draws", "40")
    assert trained.call(mixed_accuracy, *few) == 0
    names = {f"curves.{ending}" for ending in ("png", "pdf", "tex", "csv")}
    assert {file.name for file in out.iterdir()} == names | {"table.md", "table.csv", "table.tex", "evaluations.json"}
    points, table = pd.read_csv(out / "curves.csv"), pd.read_csv(out / "table.csv").set_index(["metric", "arm"])["mean"]
    mine = points[(points["arm"] == "+ lam") & (points["part"] == "mixed_top1")]
    assert table["mixed_top1", "+ lam"] == pytest.approx(mine.groupby("seed")["y"].mean().mean())
    assert trained.call(mixed_accuracy, *few, "--mixer", "mixup", "--images", "8") == 0
    assert "Mixtures by mixup, lambda from Beta(1, 1); 40 draws of 8 test images. Ranges" in capsys.readouterr().out
    assert trained.call(mixed_accuracy, *few, "--mixer", "dmixup") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "with fewer than 20 mixtures are left out. K images have shares from" in said


def test_an_arm_that_mixes_by_weights_of_its_own_is_left_out(trained, out, capsys, monkeypatch):
    monkeypatch.setattr(mixed_accuracy, "needs_weights", "cutmix".__eq__)  # the mixer of all arms
    assert trained.call(mixed_accuracy, "--out", str(out)) == 2
    assert "left out: '+ lam', which mixes no images, or by weights that are not kept" in capsys.readouterr().err
