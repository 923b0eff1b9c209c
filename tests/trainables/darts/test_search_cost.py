"""The estimate of an architecture search, counted by hand for steps of one second."""

from pathlib import Path

import pytest

from trainables import search_architecture
from trainables.darts import search_cost

SMALL = {
    **{"dataset": "cifar10", "train_images": 1000, "test_images": 300, "batch_size": 8},
    **{"search_epochs": 5, "frozen_epochs": 2, "search_batch_size": 8, "search_channels": 4, "search_cells": 3},
    **{"epochs": 7, "channels": 4, "cells": 3, "operations": ("none", "skip_connect", "sep_conv_3x3")},
}


@pytest.fixture(autouse=True)
def _known_times(monkeypatch):
    """Let the first step that is timed take a second, the second two seconds, and so on; each is really taken."""
    taken = []

    def count(step):
        step()
        taken.append(None)
        return len(taken)

    monkeypatch.setattr(search_cost, "least_seconds", count)


def seconds(**keys: object) -> float:
    settings = search_architecture.train.resolve({**SMALL, **keys}).settings
    return search_architecture.train.estimate_seconds(settings, Path("data"))


@pytest.mark.slow
def test_a_search_and_the_training_of_what_it_finds():
    batches = 1000 / 2 / 8  # of one half
    search = batches * (2 * 1 + 3 * 2)
    test, train = 3, 4 - 3  # of one batch
    assert seconds() == pytest.approx(search + 7 * (1000 / 8 * train + 300 / 8 * test))


def test_a_known_network_is_only_trained():
    assert seconds(genotype="pc_darts_imagenet") == pytest.approx(7 * (1000 / 8 * 1 + 300 / 8 * 1))


def test_photographs_in_parts_of_a_batch():
    large = {"retrain.dataset": "imagenet", "batch_size": 64, "retrain.accumulate": 8}
    found = seconds(genotype="pc_darts_imagenet", **large)
    assert found == pytest.approx(7 * (1_281_167 + 50_000) / 2)  # two images a step
