"""CIFAR-10 without birds and trucks, which are the images of no class."""

from pathlib import Path

import torch

from trainables.datasets import DATASETS, EVALUATION_SETS, cifar10
from trainables.datasets.dataset import INSIDE, OUTSIDE, Split, Splits


def test_eight_classes_are_left_and_numbered_in_order_and_the_two_others_are_outside(monkeypatch):
    """There are two images of each class, which hold their own class."""
    labels = torch.arange(20) % 10
    split = Split(labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).clone(), labels)
    monkeypatch.setattr(cifar10, "load", lambda root: Splits(split, split))
    for part in DATASETS["cifar8"].load(Path()):
        assert part.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7] * 2
        assert part.images[:, 0, 0, 0].tolist() == [0, 1, 3, 4, 5, 6, 7, 8] * 2
    outside, inside = (EVALUATION_SETS["cifar8_o"].load(Path(), part) for part in (OUTSIDE, INSIDE))
    assert outside.images[:, 0, 0, 0].tolist() == [2, 9, 2, 9]
    assert len(inside.labels) + len(outside.labels) == 20  # nothing is in both parts
    assert inside.labels.max() < DATASETS["cifar8"].num_classes
