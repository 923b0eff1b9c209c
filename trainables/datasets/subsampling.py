"""Parts of the training set: those chosen by scores of their images, and those held out for validation.

A subset is that of K-image mixing, section III.C.1, Eq. 9 and Fig. 5a (Jeong et al., IEEE Access 2023,
arXiv:2110.04248). A validation split is for whatever is selected, so that the test set is not used for it. In both,
each class gives the same share of its images, and the choice depends on the options, the labels and the file of scores
alone, not on a trial's seed: every seed, and every trial of a search, trains on the same images and is judged on the
same ones.
"""

import numpy as np
import torch
from torch import Tensor

from trainables.datasets.data_config import COLUMNS, SubsetConfig
from trainables.refusals import first_line
from trainables.seeds import generator


def chosen(config: SubsetConfig, labels: Tensor) -> Tensor:
    """Return the indices of the training images that are kept, (n,) int64, ascending, by a rule that is not ``none``.

    The labels (N,) int64 are those of the images to choose from, the first N of the training set.
    """
    if config.rule == "random":
        scores = torch.rand(len(labels), generator=generator(config.draw, "subset"), dtype=torch.double)
    else:
        column, sign = COLUMNS[config.rule]
        scores = sign * read_scores(str(config.scores), column, labels)
    return choose(scores, labels, config.share, config.sampling)


def choose(scores: Tensor, labels: Tensor, share: float, sampling: str) -> Tensor:
    """Return the indices (n,) int64, ascending, of ``share`` of each class, one image at the least (Eq. 9).

    The highest of the scores (N,) is chosen first, and of equal ones the first in order. The share is in (0, 1], the
    sampling ``top`` or ``interval``.
    """
    chosen = []
    for label in labels.unique():
        members = torch.where(labels == label)[0]
        members = members[scores[members].argsort(descending=True, stable=True)]
        count = max(1, round(share * len(members)))
        places = torch.arange(count)
        chosen.append(members[places * len(members) // count if sampling == "interval" else places])
    return torch.cat(chosen).sort().values


def read_scores(file: str, column: str, labels: Tensor) -> Tensor:
    """Return one column of a file of scores for the first images of the training set, (N,) float64.

    The file is CSV with the columns ``image``, ``label`` and others; its rows may be in any order.
    """
    import pandas as pd  # half a second, for which only a subset by scores has to wait

    try:
        table = pd.read_csv(file, usecols=["image", "label", column])
        table = table.sort_values("image")[: len(labels)]
        found = torch.from_numpy(table[column].to_numpy(np.float64, copy=True))
    except (OSError, ValueError) as error:
        raise ValueError(f"subset.scores {file!r} cannot be read: {first_line(error)}") from None
    if not np.array_equal(table["image"], np.arange(len(labels))):
        raise ValueError(f"subset.scores {file!r} does not have each of the first {len(labels)} training images once")
    if not np.array_equal(table["label"], labels.numpy()):
        raise ValueError(f"subset.scores {file!r} is of other images: its labels are not those of the training set")
    if not found.isfinite().all():
        raise ValueError(f"subset.scores {file!r} has a {column!r} that is not a finite number")
    return found


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
