"""Searches with a known answer: 20 repetitions each of the history, and of the source that Ray Tune asks."""

import hashlib
import statistics
from collections.abc import Mapping
from typing import Any

import pytest
from scipy.stats import wilcoxon

from mixlab.search.history import History
from tests.mixlab.search_toy import TRAIN, InMemory, accuracy, distance, run, search

pytestmark = pytest.mark.slow

REPETITIONS = 20
TOLERANCE = 1.0  # percentage points below the optimum, of about 60 that the space spans


def regret(history: History, arm: str) -> float:
    """Return the percentage points between the arm's pick and the optimum, both trained in full."""
    return 60 * distance(history.best(arm).params) ** 2


def noise(config: Mapping[str, Any], epoch: int, scale: float) -> float:
    """Return a number uniform in [-scale, scale], the same for the same run, as with a fixed seed."""
    text = repr(sorted(config.items())) + str(epoch)
    return scale * (int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**31 - 1)


def tune(repetition: int, sampler: str, scheduler: str, budget: int) -> tuple[History, int]:
    """Return one search of two arms; the repetition is part of its name, and so seeds its samplers."""
    spec = search(name=f"toy{repetition}", sampler=sampler, scheduler=scheduler, budget=budget)
    history = History(spec, TRAIN, InMemory())
    return history, run(history, lambda config, epoch: accuracy(config, epoch) + noise(config, epoch, 0.2))


def test_tpe_finds_the_optimum_and_is_better_than_random():
    found = {}
    for sampler in ("tpe", "random"):
        found[sampler] = [regret(tune(i, sampler, "none", 60)[0], "low") for i in range(REPETITIONS)]
    assert sum(each <= TOLERANCE for each in found["tpe"]) >= 18
    assert statistics.median(found["tpe"]) < statistics.median(found["random"])
    assert wilcoxon(found["tpe"], found["random"], alternative="less").pvalue < 0.05


def test_asha_spends_a_third_at_most_and_picks_within_tolerance():
    within = 0
    for repetition in range(REPETITIONS):
        history, epochs = tune(repetition, "tpe", "asha", 120)
        assert epochs <= 120 * 27 / 3
        within += regret(history, "low") <= TOLERANCE
    assert within >= 18
