"""The learning rate at hand-computed times."""

import math

import pytest

from trainables.config import parse
from trainables.schedules import learning_rate


def rate(done: float, **keys) -> float:
    return learning_rate(parse({"epochs": 8, "lr": 0.4, **keys}), done)


def test_a_cosine_per_epoch_is_the_default():
    assert rate(0) == 0.4
    assert rate(2) == rate(2.99) == 0.4 * (1 + math.cos(math.pi * 2 / 8)) / 2
    assert rate(4) == pytest.approx(0.2)
    assert rate(7.5) == rate(7) > 0


def test_a_cosine_per_step():
    assert rate(2.5, lr_changes="each_step") == pytest.approx(0.2 * (1 + math.cos(math.pi * 2.5 / 8)))
    assert rate(7.999, lr_changes="each_step") < 1e-6
    for done in (0, 3, 7, 8):  # one that ends above zero is the same curve on a pedestal
        assert rate(done, min_lr=0.1) == pytest.approx(0.1 + 0.75 * rate(done))
        assert rate(done, min_lr=0.4) == pytest.approx(0.4)


def test_steps_down():
    steps = {"schedule": "multistep", "milestones": (0.5, 0.75)}
    rates = [rate(done, **steps) for done in (0, 3.99, 4, 5.99, 6, 7.99)]
    assert rates == pytest.approx([0.4, 0.4, 0.04, 0.04, 0.004, 0.004])
    assert rate(4, schedule="multistep", milestones=[0.25, 0.3, 0.4]) == pytest.approx(4e-4)  # a list will do


@pytest.mark.parametrize("epochs", [25, 100, 150, 200])
def test_a_milestone_that_is_a_whole_epoch_is_the_start_of_that_epoch(epochs):
    """In floating point, 0.55 times 100 epochs is a little more than 55."""
    for epoch in range(1, epochs):
        steps = {"epochs": epochs, "schedule": "multistep", "milestones": (epoch / epochs,)}
        assert [rate(done, **steps) for done in (epoch - 0.01, epoch)] == [0.4, 0.04]
        assert [rate(done, lr_changes="each_step", **steps) for done in (epoch - 0.01, epoch)] == [0.4, 0.04]


def test_the_warm_up_multiplies_the_schedule_in_every_step():
    warm = {"warmup_epochs": 2, "warmup_start": 0.5}
    assert rate(0, **warm) == pytest.approx(0.2)
    assert rate(0.5, **warm) == pytest.approx(0.4 * 0.625)
    assert rate(1.5, **warm) == pytest.approx(rate(1.5) * 0.875)
    assert rate(2, **warm) == rate(2)
    assert rate(0, warmup_epochs=2) == 0
