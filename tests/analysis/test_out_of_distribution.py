"""The command on networks of eight classes of CIFAR-10, and the sets that it finds for a data set."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from analysis import out_of_distribution
from trainables.config import parse
from trainables.cost import noise_splits
from trainables.datasets import cifar10
from trainables.datasets.opening import open_evaluation
from trainables.methods import build_network
from trainables.robustness.classifier import predict
from trainables.robustness.out_of_distribution import aupr_of_outsiders, confidence

CONFIG = {"dataset": "cifar8", "backbone": "resnet8", "epochs": 1, "mixer": "cutmix"}


@pytest.fixture
def of_eight_classes(untrained, monkeypatch) -> Any:
    """Return a study of two arms and two seeds whose untrained networks know eight classes."""
    monkeypatch.setattr(cifar10, "load", lambda root: noise_splits(parse({"dataset": "cifar10"}), 50))
    return untrained(CONFIG)


@pytest.mark.slow
def test_the_aupr_is_that_of_every_held_out_image(of_eight_classes, tmp_path, out, capsys):
    assert of_eight_classes.call(out_of_distribution, "--out", str(out), "--data-root", str(tmp_path)) == 0
    text = capsys.readouterr().out
    assert "100 % of the images of each set, and 40 test images, evenly spaced" in " ".join(text.split())
    assert "an AUPR by chance is 20.0 %" in " ".join(text.split())
    written = (out / "table.md").read_text()
    for title in ("op-1 accuracy on the test set, %", "AUPR of the two held-out classes"):
        assert text.count(title) == written.count(title) == 1
    names = {f"confidence.{ending}" for ending in ("png", "pdf", "tex", "csv")}
    assert {file.name for file in out.iterdir()} == names | {"table.md", "table.csv", "table.tex", "evaluations.json"}
    table = pd.read_csv(out / "table.csv").set_index(["metric", "arm"])["mean"]
    config, auprs = parse(CONFIG), []
    for seed in (0, 1):
        network = build_network(config, seed=seed).eval()
        sure = []
        for part in ("inside", "outside"):
            ((images, _),) = open_evaluation("cifar8_o", part, config, tmp_path, "cpu").test_batches(50)
            sure.append(confidence(predict(network, images)))
        auprs.append(aupr_of_outsiders(*sure))
    assert table["cifar8_o_aupr", "baseline"] == pytest.approx(sum(auprs) / 2)
    points = pd.read_csv(out / "confidence.csv")
    assert (points[points["x"] == 0]["y"] == 100).all()
    assert len(points) == 2 * 2 * 2 * (out_of_distribution.STEPS + 1)


def test_fewer_images_keep_the_share_of_the_held_out_ones(of_eight_classes, tmp_path):
    config = parse(CONFIG)
    parts = [open_evaluation("cifar8_o", part, config, tmp_path, "cpu", share=0.5) for part in ("inside", "outside")]
    assert [len(part) for part in parts] == [20, 5]


class Answers:
    """Images that are the logits of three classes themselves."""

    def __init__(self, logits: list[list[float]], labels: list[int]) -> None:
        self.logits, self.labels = torch.tensor(logits), torch.tensor(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def test_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield self.logits, self.labels


def test_two_sets_are_found_for_networks_of_imagenet_and_only_their_classes_count(tmp_path, monkeypatch):
    """The network is sure of a class that neither set has: that makes it neither wrong nor sure."""
    found = out_of_distribution.sets_for("imagenet")
    assert [one.name for one in found] == ["imagenet_o", "imagenet_a"]
    few = [replace(one, classes=lambda root: torch.tensor([1, 2])) for one in found]
    parts = {
        "all": Answers([[9, 1, 0], [9, 0, 1]], [1, 2]),
        "inside": Answers([[0, 3, 0]], [1]),
        "outside": Answers([[9, 0, 0]], [-1]),
    }
    monkeypatch.setattr(out_of_distribution, "sets_for", lambda dataset: few)
    monkeypatch.setattr(out_of_distribution, "open_evaluation", lambda name, part, *_, **share: parts[part])
    protocol = {"data_root": str(tmp_path), "images": 10}
    measured = out_of_distribution.measure(nn.Identity(), parts["all"], parse({"dataset": "imagenet"}), protocol)
    shown = [measured[name] for name in ("test_top1_clean", "imagenet_a_top1", "imagenet_o_aupr", "chance")]
    assert shown == [0, 100, 100, 50]
