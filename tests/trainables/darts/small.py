"""A small search on a few images, and what a run of it reports, whether or not it is interrupted."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Generator

from tests.trainables.runs import numbers
from trainables.darts.search_run import SearchRun
from trainables.datasets.dataset import Split, Splits

SMALL = {
    **{"dataset": "cifar10", "search_channels": 4, "search_cells": 3, "search_batch_size": 4, "channels": 4},
    **{"cells": 3, "batch_size": 4, "auxiliary": 0.0, "search_epochs": 2, "frozen_epochs": 1, "epochs": 2},
    **{"operations": ("none", "skip_connect", "sep_conv_3x3"), "architecture_lr": 0.01, "cutout": 8},
}


def coloured(count: int = 8, classes: int = 10) -> Splits:
    """Return images of noise whose brightness is their class."""
    labels = torch.arange(count) % classes
    noise = torch.randint(0, 60, (count, 3, 32, 32), generator=Generator().manual_seed(0))
    split = Split((noise + 19 * labels[:, None, None, None]).to(torch.uint8), labels)
    return Splits(split, split)


def resumed(start: Callable[[], SearchRun], folder: Path, done: int) -> SearchRun:
    """Return a run; require the same of one that is interrupted after ``done`` epochs and after each that follows."""
    whole = start()
    while not whole.finished:
        whole.next_epoch()
        if len(whole.history) == done:
            whole.save(folder)
            assert (folder / "genotype.json").exists() == (whole.genotype is not None)
    for _ in range(done, whole.epochs):
        run = start()
        run.restore(folder)
        run.next_epoch()
        run.save(folder)
    assert run.finished
    assert numbers(run) == numbers(whole)
    return whole
