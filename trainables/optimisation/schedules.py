"""The learning rate over a run: a cosine, or steps down, after a linear warm-up.

Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017 (arXiv:1608.03983), without
restarts; the warm-up of Goyal et al., "Accurate, Large Minibatch SGD" (2017, arXiv:1706.02677).

Time is counted in epochs: 2.5 is the middle of the third.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from trainables.ranges import Count, NotNegative, Positive, Share, Whole

SLACK = 1e-9  # epochs by which rounding may err: 0.55 * 100 is 55.00000000000001
Milestones = tuple[Annotated[float, Field(gt=0, lt=1)], ...]


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The number of epochs, and the course of the learning rate over them."""

    epochs: Count = 800
    lr: Positive = 0.1  # at the start, after the warm-up
    schedule: Literal["cosine", "multistep"] = "cosine"
    lr_changes: Literal["each_epoch", "each_step"] = "each_epoch"
    min_lr: NotNegative = 0.0  # where the cosine ends; multistep does not read it
    milestones: Milestones = (0.5, 0.75)  # for multistep: the shares of the run after which the rate is divided by 10
    warmup_epochs: Whole = 0
    warmup_start: Share = 0.0  # the share of the rate at the first step of the warm-up, where there is one


def check_schedule(config: ScheduleConfig) -> None:
    """Raise ``ValueError``, one sentence, for values that do not fit together."""
    if config.min_lr > config.lr:
        raise ValueError(f"min_lr must be at most lr, {config.lr}, got {config.min_lr}")
    if config.warmup_epochs >= config.epochs:
        raise ValueError(f"warmup_epochs must be less than epochs, {config.epochs}, got {config.warmup_epochs}")


def learning_rate(config: ScheduleConfig, done: float) -> float:
    """Return the rate of the step that is taken when ``done`` epochs are over.

    During the warm-up the schedule's own rate is multiplied by a factor that rises linearly from ``warmup_start`` to 1,
    in every step whatever ``lr_changes`` says, as in OpenMixup; other codes raise the rate linearly to the highest one.
    """
    at = math.floor(done) if config.lr_changes == "each_epoch" else done
    if config.schedule == "cosine":
        rate = cosine(config.lr, config.min_lr, at, config.epochs)
    else:
        passed = sum(at > milestone * config.epochs - SLACK for milestone in config.milestones)
        rate = config.lr / 10**passed
    if done < config.warmup_epochs:
        rate *= config.warmup_start + (1 - config.warmup_start) * done / config.warmup_epochs
    return rate


def cosine(first: float, last: float, done: float, whole: float = 1.0) -> float:
    """Return a value that goes from ``first`` to ``last`` by half a cosine, when ``done`` of the ``whole`` is over."""
    return last + (first - last) * (1 + math.cos(math.pi * done / whole)) / 2
