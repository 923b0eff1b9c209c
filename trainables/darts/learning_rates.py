"""The learning rate of the second phase; time is counted in epochs that are over."""

from trainables.schedules import cosine

SLOW = 5  # the last epochs of the linear course, which fall together as far as one epoch before them


def linear(lr: float, done: int, epochs: int) -> float:
    """Return the rate after ``done`` of ``epochs`` epochs, as PC-DARTS lowers it on ImageNet.

    It falls by the same step in each epoch, and by a fifth of it in each of the last five. A run of five epochs or
    fewer, of which PC-DARTS has none, falls in equal steps.
    """
    left = epochs - done
    if epochs <= SLOW:
        return lr * left / epochs
    return lr * (left - SLOW) / (epochs - SLOW) if left > SLOW else lr * left / (SLOW * (epochs - SLOW))


def retraining_rate(schedule: str, lr: float, done: int, epochs: int, warmup_epochs: int) -> float:
    """Return the rate of the epoch that follows ``done`` others; it rises over the first ``warmup_epochs``."""
    rate = linear(lr, done, epochs) if schedule == "linear" else cosine(lr, 0.0, done / epochs)
    return rate * (done + 1) / warmup_epochs if done < warmup_epochs else rate
