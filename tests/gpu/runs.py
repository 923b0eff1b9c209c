"""Runs on a GPU, on images of noise."""

from typing import Any

import torch
from torch import Tensor

from tests.trainables.runs import numbers, run_of
from trainables.training import Run

# As usual in training, on batches that are small; an epoch of 90 images has five whole ones and one of 10.
SETTINGS = {"epochs": 3, "batch_size": 16, "precision": "auto", "augment": "crop_flip"}


def run_on_gpu(count: int = 90, **keys: Any) -> Run:
    """Return a run that has not begun."""
    return run_of(count, **{**SETTINGS, **keys})


def finish(*runs: Run) -> None:
    for run in runs:
        while not run.finished:
            run.next_epoch()


def state_of(run: Run) -> dict[str, Tensor]:
    """Return every number of a run's method: weights, statistics, averages."""
    return {name: value for name, value in run.method.state_dict().items() if isinstance(value, Tensor)}


def differing(one: Run, other: Run) -> list[str]:
    """Return the names of the numbers that differ in a bit, with those of the log."""
    first, second = state_of(one), state_of(other)
    names = [name for name in first if not torch.equal(first[name], second[name])]
    for left, right in zip(numbers(one), numbers(other), strict=True):
        names += [name for name in left | right if left.get(name) != right.get(name)]
    return names
