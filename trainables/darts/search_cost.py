"""The seconds of an architecture search and of the training after it, estimated from a few steps on noise."""

from dataclasses import replace
from pathlib import Path

import torch

from trainables.cost import counts, least_seconds, noise_splits, once
from trainables.darts.genotype import PUBLISHED, Genotype
from trainables.darts.retraining import Retraining
from trainables.darts.search_config import HALVES, SMALL_SIDE, SearchConfig
from trainables.darts.search_phase import SearchPhase
from trainables.datasets.data_config import on_all_images
from trainables.datasets.opening import open_splits
from trainables.device.hardware import device

FEW = 16  # images of a timed step without a GPU
FEW_LARGE = 2  # photographs


def seconds(settings: SearchConfig, data_root: Path) -> float:
    """Return roughly how long a run takes on this machine; a published network stands for one not found yet."""
    known = settings.known_genotype
    search = 0.0 if known else search_seconds(settings, data_root)
    return search + retraining_seconds(settings, data_root, known or PUBLISHED["pc_darts_cifar10"])


def search_seconds(settings: SearchConfig, data_root: Path) -> float:
    """Return the seconds of all epochs of the search."""
    size = _timed_images(settings.search_batch_size, settings.side)
    few = replace(on_all_images(settings), search_batch_size=size, search_epochs=2, frozen_epochs=1)

    def measure() -> tuple[float, float]:
        phase = SearchPhase(few, 0, noise_splits(few, 2 * size), device())
        return least_seconds(lambda: phase.epoch(1)), least_seconds(lambda: phase.epoch(2))

    frozen, free = once(few, measure)
    images = settings.subset.share * counts(settings, data_root)[0]
    epochs = frozen * settings.frozen_epochs + free * (settings.search_epochs - settings.frozen_epochs)
    return epochs * HALVES * images / size


def retraining_seconds(settings: SearchConfig, data_root: Path, genotype: Genotype) -> float:
    """Return the seconds in which the network of a genotype is trained and tested after every epoch."""
    images = settings.retrained
    size = _timed_images(settings.batch_size // settings.retrain.accumulate, images.side)
    few = replace(on_all_images(settings), batch_size=size, retrain=replace(settings.retrain, accumulate=1))

    def measure() -> tuple[float, float]:
        opened = open_splits(on_all_images(images), noise_splits(images, size), device())
        phase = Retraining(few, 0, genotype, opened, device())
        test = least_seconds(lambda: phase.test(phase.test_set))
        return least_seconds(lambda: phase.epoch(1, 0)) - test, test

    train, test = once((few, genotype), measure)
    num_train, num_test = counts(images, data_root)
    return settings.epochs * (train * num_train + test * num_test) / size


def _timed_images(batch_size: int, side: int) -> int:
    """Return the number of images in a timed step: a whole batch on a GPU, a few without one."""
    if torch.cuda.is_available():
        return batch_size
    return min(batch_size, FEW if side <= SMALL_SIDE else FEW_LARGE)
