"""The learning rate at hand-computed times."""

import math

import pytest

from trainables.config import parse
from trainables.schedules import learning_rate


def rate(done: float, **keys) -> float:
    return learning_rate(parse({"epochs": 8, "lr": 0.4, **keys}), done)


def cosine(done: float) -> float:
    return 0.2 * (1 + math.cos(math.pi * done / 8))


@pytest.mark.parametrize(
    ("keys", "times", "rates"),
    [
        ({}, [0, 2, 2.99, 4, 7.5], [0.4, cosine(2), cosine(2), 0.2, cosine(7)]),
        ({"lr_changes": "each_step"}, [2.5, 7.999], [cosine(2.5), cosine(7.999)]),
        # One that ends above zero is the same curve on a pedestal.
        ({"min_lr": 0.1}, [0, 3, 7, 8], [0.1 + 0.75 * cosine(done) for done in (0, 3, 7, 8)]),
        ({"min_lr": 0.4}, [0, 3, 7, 8], [0.4] * 4),
        (
            {"schedule": "multistep", "milestones": (0.5, 0.75)},
            *([0, 3.99, 4, 5.99, 6, 7.99], [0.4, 0.4, 0.04, 0.04, 0.004, 0.004]),
        ),
        ({"schedule": "multistep", "milestones": [0.25, 0.3, 0.4]}, [4], [4e-4]),  # a list will do
        # The warm-up multiplies the schedule in every step.
        (
            {"warmup_epochs": 2, "warmup_start": 0.5},
            *([0, 0.5, 1.5, 2], [0.2, 0.4 * 0.625, cosine(1) * 0.875, cosine(2)]),
        ),
        ({"warmup_epochs": 2}, [0], [0]),
    ],
)
def test_the_rate_is_that_by_hand(keys, times, rates):
    assert [rate(done, **keys) for done in times] == pytest.approx(rates)


@pytest.mark.parametrize("epochs", [25, 100, 150, 200])
def test_a_milestone_that_is_a_whole_epoch_is_the_start_of_that_epoch(epochs):
    """In floating point, 0.55 times 100 epochs is a little more than 55."""
    for epoch in range(1, epochs):
        steps = {"epochs": epochs, "schedule": "multistep", "milestones": (epoch / epochs,)}
        assert [rate(done, **steps) for done in (epoch - 0.01, epoch)] == [0.4, 0.04]
        assert [rate(done, lr_changes="each_step", **steps) for done in (epoch - 0.01, epoch)] == [0.4, 0.04]
