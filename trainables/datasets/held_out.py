"""A validation split: training images held out for whatever is selected, so that the test set is not used for it.

The choice depends only on the labels and the number, not on a trial's seed: every trial of a search is judged on the
same images, and none trains on them.
"""

import torch
from torch import Tensor

from trainables.seeds import generator


def held_out_count(validation: float, images: int) -> int:
    """Return how many of ``images`` training images to hold out; ``validation`` is a share below 1, else their number.

    Raises:
        ValueError: it is 1 or more but not a whole number, or nothing would be left to train on.
    """
    if validation >= 1 and validation != int(validation):
        raise ValueError(f"validation must be a share below 1 or a whole number of images, got {validation}")
    count = int(validation) if validation >= 1 else round(validation * images)
    if count >= images:
        raise ValueError(f"validation must leave some of the {images} training images, got {validation:g}")
    if validation and not count:
        raise ValueError(f"validation must hold out at least 1 of the {images} training images, got {validation:g}")
    return count


def hold_out(labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Split the images into those that train and those that validate; each class gives the same share, up to rounding.

    Args:
        labels: the labels of the training images, (N,) int64.
        count: the number of images to hold out.

    Returns:
        The indices that train and those that validate, (N - count,) and (count,) int64, both ascending.
    """
    order = torch.randperm(len(labels), generator=generator(0, "validation"))
    order = order[labels[order].argsort(stable=True)]  # class after class, each in random order
    sizes = labels.bincount()
    starts = sizes.cumsum(0) - sizes
    of = labels[order]
    # The share of its class that precedes an image: holding out the first takes evenly from every class.
    place = (torch.arange(len(labels)) - starts[of] + 0.5) / sizes[of]
    foremost = order[place.argsort(stable=True)]
    return foremost[count:].sort().values, foremost[:count].sort().values
