"""Runs on a GPU, on images of noise."""

from typing import Any

import torch
from torch import Tensor

from trainables.config import parse
from trainables.datasets.dataset import Split, Splits
from trainables.datasets.opening import open_splits
from trainables.training import Run

SETTINGS = {"dataset": "cifar10", "backbone": "resnet8", "epochs": 3, "batch_size": 16, "lr": 0.05}
COUNT = 90  # images: an epoch has five whole batches and one of 10


def run_on(device: str, count: int = COUNT, **keys: Any) -> Run:
    """Return a run that has not begun. A key's dot is written as two underscores: ``sumix__lam``."""
    rng = torch.Generator().manual_seed(4)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=rng)
    split = Split(pixels, torch.arange(count) % 10)
    settings = parse({**SETTINGS, **{key.replace("__", "."): value for key, value in keys.items()}})
    return Run(settings, 0, open_splits(settings, Splits(split, split), torch.device(device)))


def state_of(run: Run) -> dict[str, Tensor]:
    """Return every number of a run's method: weights, statistics, averages."""
    return {name: value for name, value in run.method.state_dict().items() if isinstance(value, Tensor)}


def differing(one: Run, other: Run) -> list[str]:
    """Return the names of the numbers that differ in a bit, with those of the log."""
    first, second = state_of(one), state_of(other)
    names = [name for name in first if not torch.equal(first[name], second[name])]
    logs = zip(one.history, other.history, strict=True)
    untimed = [
        {name: (left.metrics.get(name), right.metrics.get(name)) for name in left.metrics | right.metrics}
        for left, right in logs
    ]
    for epoch in untimed:
        names += [name for name, (left, right) in epoch.items() if "seconds" not in name and left != right]
    return names
