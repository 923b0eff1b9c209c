"""No mixing: the baseline of every table."""

from torch import Generator, Tensor

from trainables.mixers.mixed import Mixed, alone


def none(images: Tensor, rng: Generator, *, alpha: float = 1.0) -> Mixed:
    """Return the batch as it is.

    Nothing is drawn, and ``alpha`` has no effect. The ``Mixed`` has K = 1, and its ``images`` is ``images`` itself.
    """
    return alone(images)
