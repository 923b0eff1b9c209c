"""A validation split: training images held out for whatever is selected, so that the test set is not used for it.

The choice depends only on the labels and the number, not on a trial's seed: every trial of a search is judged on the
same images, and none trains on them.
"""

import torch
from torch import Tensor

from trainables.seeds import generator


def hold_out(labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the images that train, (N - count,), and of those that validate, (count,), both ascending.

    Each class of the training images, with labels (N,) int64, gives the same share, up to rounding.
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
