"""CIFAR-10 without two of its classes, and those two as images of no known class: a small ImageNet-O.

Birds and trucks are held out: an animal and a vehicle, each with classes that resemble it among the other eight. A
classifier of the eight, ``cifar8``, is shown the 2,000 test images of the two classes, and should not be sure of any.
"""

from dataclasses import replace
from pathlib import Path

import torch

from trainables.datasets import cifar10
from trainables.datasets.cifar10 import CIFAR10
from trainables.datasets.dataset import INSIDE, OUTSIDE, EvaluationSet, Split, Splits

HELD_OUT = (2, 9)  # bird and truck, as CIFAR-10 numbers them


def load(root: Path) -> Splits:
    """Return 40,000 and 8,000 images of the other eight classes, which keep their order and are numbered 0 to 7."""
    return Splits(*(_of_the_eight(split) for split in cifar10.load(root) if isinstance(split, Split)))


def load_part(root: Path, part: str) -> Split:
    """Return the test images of the eight classes, or of the two held-out ones with CIFAR-10's labels."""
    test = cifar10.load(root).test
    assert isinstance(test, Split)
    return _of_the_eight(test) if part == INSIDE else test.take(_held_out(test).nonzero().flatten())


def _held_out(split: Split) -> torch.Tensor:
    return torch.isin(split.labels, torch.tensor(HELD_OUT))


def _of_the_eight(split: Split) -> Split:
    number = torch.tensor([label - sum(label > out for out in HELD_OUT) for label in range(10)])
    kept = split.take((~_held_out(split)).nonzero().flatten())
    return Split(kept.images, number[kept.labels])


CIFAR8 = replace(CIFAR10, name="cifar8", num_classes=8, num_train=40_000, num_test=8_000, load=load)
CIFAR8_O = EvaluationSet(name="cifar8_o", trained_on="cifar8", parts=(OUTSIDE, INSIDE), load=load_part)
