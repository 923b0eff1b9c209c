"""CutMix: a rectangle of one image pasted into another.

S. Yun, D. Han, S. J. Oh, S. Chun, J. Choe and Y. Yoo, "CutMix: Regularization Strategy to Train Strong
Classifiers with Localizable Features", ICCV 2019, arXiv:1905.04899.
"""

from torch import Generator, Tensor

from trainables.mixers.boxes import Boxes, Label, clipped_boxes, paste, uniform_pixels
from trainables.mixers.mixed import Mixed, beta, partners


def draw(images: Tensor, rng: Generator, *, alpha: float, per_batch: bool) -> tuple[Boxes, Tensor, Tensor]:
    """Return the box that is cut from each row, the partner that fills it, (B,) int64, and lambda, (B,) or (1,)."""
    size, _, height, width = images.shape
    count = 1 if per_batch else size
    lam = beta(alpha, count, rng)
    centre = uniform_pixels(count, height, width, rng)
    return clipped_boxes(centre, (1 - lam).sqrt(), height, width), partners(size, rng), lam


def cutmix(
    images: Tensor, rng: Generator, *, alpha: float = 1.0, per_batch: bool = False, label: Label = "area"
) -> Mixed:
    """Paste one rectangle of a partner into every image, at the same place, a different one per row.

    Args:
        alpha: draws lambda ~ Beta(alpha, alpha); the box has the area ``1 - lam`` before it is clipped.
        per_batch: one box for the whole batch, as the official code has it.
        label: ``drawn`` is lambda before the box was clipped, which the labels of many releases had before 2020.

    The weights are counted in pixels, as in the official code: a box clipped at the border gives the image back what it
    would have lost. At alpha = 1 and 32x32 an image keeps 0.70 on average. The official code draws one box per batch;
    here each row has its own (equal in distribution, lower in the variance of the gradient). The official code mixes
    half of the CIFAR batches, here ``mixer.probability=0.5``. As in the official code a row may be its own partner, as
    one of each batch is on average; OpenMixup draws partners again, up to ten times, until none is.
    """
    boxes, partner, lam = draw(images, rng, alpha=alpha, per_batch=per_batch)
    return paste(images, partner, boxes, lam, label)
