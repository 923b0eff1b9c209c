"""ImageNet-A and ImageNet-O: photographs that ImageNet's classifiers get wrong, and photographs of none of its classes.

From D. Hendrycks, K. Zhao, S. Basart, J. Steinhardt and D. Song, Natural Adversarial Examples, CVPR 2021,
arXiv:1907.07174. ``imagenet-a/<wnid>/`` and ``imagenet-o/<wnid>/`` in the data root, as the official archives unpack.
Only the logits of the 200 classes that have a folder count; ImageNet's own folders say which of the 1,000 they are.
"""

import contextlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from trainables.datasets import imagenet
from trainables.datasets.dataset import INSIDE, OUTSIDE, DataError, EvaluationSet
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import class_names, in_class_folders, require_count

SUBSET_CLASSES = 200  # of ImageNet-A and of ImageNet-O, another 200 each


def imagenet_classes(root: Path) -> list[str]:
    """Return the wnids of ImageNet's classes in the order of their labels, from the names of its class folders."""
    folder = root / imagenet.FOLDER
    for split in "val", "train":
        with contextlib.suppress(DataError):
            return class_names(folder / split, imagenet.NUM_CLASSES)
    raise DataError(
        f"the order of ImageNet's classes is not known: {folder} needs a folder val or train with its "
        f"{imagenet.NUM_CLASSES} class folders, which may be empty"
    )


def subset_classes(root: Path, folder: str) -> Tensor:
    """Return ImageNet's labels of the classes in ``folder``, (200,) int64, ascending, or raise ``DataError``."""
    place = {wnid: label for label, wnid in enumerate(imagenet_classes(root))}
    wnids = class_names(root / folder, SUBSET_CLASSES)
    if unknown := [wnid for wnid in wnids if wnid not in place]:
        raise DataError(f"{root / folder / unknown[0]} is not one of ImageNet's classes")
    return torch.tensor([place[wnid] for wnid in wnids])


def load_subset(root: Path, part: str, *, folder: str, images: int) -> FileList:
    """Return every image of ``folder`` with ImageNet's label (in ImageNet-O: of the class it is mistaken for)."""
    labels = subset_classes(root, folder)
    found = require_count(in_class_folders(root / folder, class_names(root / folder)), images)
    return replace(found, labels=labels[found.labels])


def load_imagenet_o(root: Path, part: str, *, images: int = 2_000) -> FileList:
    """Return 2,000 images ``outside``, or ``inside``: the 10,000 validation images of ImageNet in the 200 classes."""
    if part == OUTSIDE:
        return load_subset(root, part, folder="imagenet-o", images=images)
    classes = subset_classes(root, "imagenet-o")
    inside = imagenet.validation(root, imagenet_classes(root))
    return inside.take(torch.isin(inside.labels, classes).nonzero().flatten())


IMAGENET_O = EvaluationSet(
    name="imagenet_o",
    trained_on="imagenet",
    parts=(OUTSIDE, INSIDE),
    load=load_imagenet_o,
    classes=partial(subset_classes, folder="imagenet-o"),
)
IMAGENET_A = EvaluationSet(
    name="imagenet_a",
    trained_on="imagenet",
    parts=("all",),
    load=partial(load_subset, folder="imagenet-a", images=7_500),
    classes=partial(subset_classes, folder="imagenet-a"),
)
