"""Test images are read batch by batch: their number costs no memory, and batches change no result."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analysis import curvature, loss_landscape, occlusion
from analysis.networks import evaluate, robustness_measures
from trainables.config import Config, parse
from trainables.cost import noise_splits
from trainables.datasets.resident import Resident
from trainables.methods import build_network
from trainables.robustness.adversarial import pgd

ROBUSTNESS = {"pgd": True, "release": True, "corruptions": False, "official": {}}
LANDSCAPE = {"steps": 3, "plane": 3, "directions": 2}
OCCLUSION = {"fill": "mean", "order": "random", "draws": 1}


@pytest.fixture
def config() -> Config:
    return parse({"dataset": "cifar10", "backbone": "resnet8", "epochs": 1})


@pytest.mark.parametrize(
    ("measure", "protocol"),
    [(robustness_measures.measure, ROBUSTNESS), (loss_landscape.measure, LANDSCAPE), (occlusion.measure, OCCLUSION)],
)
def test_batches_change_no_number(measure, protocol, config, monkeypatch):
    source = Resident(noise_splits(config, 3).test, "cpu", augment=None)
    network = build_network(config).eval().double()
    monkeypatch.setattr(robustness_measures, "pgd", partial(pgd, iterations=1))
    monkeypatch.setattr("trainables.datasets.resident.in_unit_range", lambda images: images.double() / 255)
    whole = measure(network, source, config, protocol)
    monkeypatch.setattr(evaluate, "MOST_IMAGES", 2)
    parts = measure(network, source, config, protocol)
    assert flat(parts) == pytest.approx(flat(whole), rel=1e-9)


@pytest.mark.parametrize(
    ("measure", "protocol"),
    [
        (robustness_measures.measure, {**ROBUSTNESS, "pgd": False}),
        (loss_landscape.measure, LANDSCAPE),
        (occlusion.measure, OCCLUSION),
        (curvature.measure, {"sigma": 0.03, "noises": 1, "draws": 2, "plane": 0}),
    ],
)
def test_an_image_that_is_skipped_counts_nowhere(measure, protocol, config, monkeypatch):
    source = Resident(noise_splits(config, 3).test, "cpu", augment=None)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)).eval()
    whole = measure(network, source, config, protocol)
    monkeypatch.setattr(Resident, "__len__", lambda _: 5)  # of which two cannot be decoded
    assert measure(network, source, config, protocol) == whole


def flat(result: Any) -> list[float]:
    """Return every number in a result, in order."""
    if isinstance(result, dict):
        return [number for value in result.values() for number in flat(value)]
    if isinstance(result, list):
        return [number for value in result for number in flat(value)]
    return [result] if isinstance(result, int | float) else []


class Endless:
    """A test set of photographs that are made on request."""

    workers_mib = 0.0
    skipped = frozenset()

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def test_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for first in range(0, self.count, batch_size):
            size = min(batch_size, self.count - first)
            yield torch.zeros(1, 3, 224, 224).expand(size, -1, -1, -1), torch.zeros(size, dtype=torch.int64)


def test_a_batch_of_photographs_is_small_and_one_of_small_images_large(config):
    photographs = parse({"dataset": "imagenet", "backbone": "resnet18_imagenet"})
    found = [len(labels) for _, labels in evaluate.batches(Endless(60), photographs)]
    assert found == [24, 24, 12]
    assert next(evaluate.batches(Endless(600), config))[1].shape == (500,)


def test_the_patches_are_of_an_image_as_it_is_tested():
    """RSB A3 trains at 160 pixels and tests at 224."""
    config = parse({"dataset": "imagenet", "backbone": "resnet18_imagenet", "image_size": 160, "test_size": 224})
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1000))
    assert occlusion.measure(network, Endless(1), config, {**OCCLUSION, "grid": 14})["patch_size"] == 16


MANY = """
import sys
import torch
from torch import nn
from tests.analysis.networks.test_streaming import Endless, OCCLUSION, ROBUSTNESS
from analysis import occlusion
from analysis.networks import robustness_measures
from trainables.config import parse
from trainables.device.memory import peak_mib

config = parse({"dataset": "imagenet", "backbone": "resnet18_imagenet"})
network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1000)).eval()
for count in map(int, sys.argv[1:]):
    source = Endless(count)
    robustness_measures.measure(network, source, config, {**ROBUSTNESS, "pgd": False})
    occlusion.measure(network, source, config, OCCLUSION)
    # Not getrusage: its peak includes what the process that started this one held then.
    print(peak_mib(torch.device("cpu")))
"""


@pytest.mark.slow
def test_a_whole_set_of_photographs_is_evaluated_in_little_memory():
    """Only a row of logits per image grows with the set: 50,000 x 1,000 of them are 200 MB."""
    command = [sys.executable, "-c", MANY, "25", "150"]
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1048576"}  # to give back freed tensors, or the peak varies
    done = subprocess.run(command, cwd=Path(__file__).parents[3], env=env, capture_output=True, text=True, check=True)
    few, many = map(float, done.stdout.split())
    assert many - few < 50, (few, many)  # MiB; 125 such images are 75 MB in float32
    assert many < 2048, (few, many)
