"""CIFAR-10 without birds and trucks: which images are left, how they are numbered, and what is held out."""

from pathlib import Path

import pytest
import torch

from trainables.datasets import DATASETS, EVALUATION_SETS, cifar10
from trainables.datasets.dataset import INSIDE, OUTSIDE, Split, Splits


@pytest.fixture(autouse=True)
def twenty_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put two images of each class, which hold their own class, where CIFAR-10 is read."""
    labels = torch.arange(20) % 10
    split = Split(labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).clone(), labels)
    monkeypatch.setattr(cifar10, "load", lambda root: Splits(split, split))


def test_eight_classes_are_left_and_numbered_in_order() -> None:
    for split in DATASETS["cifar8"].load(Path()):
        assert isinstance(split, Split)
        assert split.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7] * 2
        assert split.images[:, 0, 0, 0].tolist() == [0, 1, 3, 4, 5, 6, 7, 8] * 2


def test_the_two_others_are_outside_and_nothing_is_in_both_parts() -> None:
    outside, inside = (EVALUATION_SETS["cifar8_o"].load(Path(), part) for part in (OUTSIDE, INSIDE))
    assert isinstance(outside, Split)
    assert isinstance(inside, Split)
    assert outside.images[:, 0, 0, 0].tolist() == [2, 9, 2, 9]
    assert len(inside.labels) + len(outside.labels) == 20
    assert inside.labels.max() < DATASETS["cifar8"].num_classes
