"""Training runs on a few random images, which take a moment."""

import torch
from torch import Tensor

from trainables.config import parse
from trainables.datasets.dataset import Split, Splits
from trainables.datasets.opening import open_splits
from trainables.hardware import device
from trainables.training import Run

SETTINGS = {
    **{"dataset": "cifar10", "backbone": "resnet8", "epochs": 2, "batch_size": 8, "lr": 0.05, "precision": "float32"},
    **{"mixer": "none", "augment": "none"},
}


def run_of(count: int = 20, **keys) -> Run:
    """Return a run on ``count`` random images of CIFAR-10's size, which are both its training and its test set."""
    rng = torch.Generator().manual_seed(4)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=rng)
    split = Split(pixels, torch.arange(count) % 10)
    settings = parse({**SETTINGS, **keys})
    return Run(settings, 0, open_splits(settings, Splits(split, split), device()))


def weights(run: Run) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in run.method.named_parameters()}
