"""Cutout: a square of every image is blanked out; no second image, no second label.

T. DeVries and G. W. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", arXiv:1708.04552.
"""

from torch import Generator, Tensor

from trainables.mixers.boxes import Boxes, inside, uniform_pixels
from trainables.mixers.mixed import Mixed, alone
from trainables.ranges import Count, Share


def cutout(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    length: Count = 16,
    fill: Share | None = None,
    per_batch: bool = False,
) -> Mixed:
    """Blank out one square of every image, around a random pixel.

    Args:
        alpha: has no effect.
        length: side of the square in pixels; the paper's is 16 for CIFAR-10 and 8 for CIFAR-100.
        fill: brightness of the square. None is the mean colour of the batch: the paper blanks with the data
            set's mean, which is 0 once an image is normalised, and here images are not normalised yet.
        per_batch: one square for the whole batch; the paper's is per image.

    An image keeps its whole label: the ``Mixed`` has K = 1 and weight 1.
    """
    size, _, height, width = images.shape
    row, column = uniform_pixels(1 if per_batch else size, height, width, rng)
    top, left = row - length // 2, column - length // 2
    boxes = Boxes(
        top=top.clamp(min=0),
        bottom=(top + length).clamp_(max=height),
        left=left.clamp(min=0),
        right=(left + length).clamp_(max=width),
    )
    squares = inside(boxes, height, width)
    blank = images.new_full((), fill) if fill is not None else images.detach().mean(dim=(0, 2, 3))[:, None, None]
    return alone(images.lerp(blank, squares.to(images.dtype)))
