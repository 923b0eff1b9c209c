"""No mixing: the baseline of every table."""

from torch import Generator, Tensor

from trainables.mixers.mixed import Mixed, alone, require_positive


def none(images: Tensor, rng: Generator, *, alpha: float = 1.0) -> Mixed:
    """Return the batch as it is.

    Args:
        images: (B, C, H, W).
        rng: unused; here because every mixer takes it.
        alpha: no effect, checked as in every mixer, so that a study can set it for all of them.

    Returns:
        A ``Mixed`` with K = 1; its ``images`` is ``images`` itself.
    """
    require_positive("alpha", alpha)
    return alone(images)
