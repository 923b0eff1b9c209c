"""The end of an epoch: a run reports its results, or that it has diverged."""

import math
from typing import NamedTuple


class Epoch(NamedTuple):
    """The results of a finished epoch."""

    number: int  # counted from 1
    of: int  # the number of epochs of the run
    metrics: dict[str, float]
    words: dict[str, str]  # how the numbers were obtained: data, hardware and versions
    histograms: dict[str, tuple[float, ...]]  # shares of the epoch's rows, by bin


class Diverged(Exception):
    """The training loss became infinite or not a number."""


def require_finite(train_loss: float, epoch: int) -> None:
    """Raise ``Diverged`` unless the training loss of an epoch is a finite number."""
    if not math.isfinite(train_loss):
        raise Diverged(f"the training loss became {train_loss} in epoch {epoch}")
