"""ImageNet-1K (ILSVRC 2012): 1,281,167 training and 50,000 validation photographs in 1,000 classes.

From O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015, arXiv:1409.0575.

``imagenet/train/<wnid>/`` and ``imagenet/val/<wnid>/`` in the data root; or the validation images flat in
``imagenet/val/``, as their archive has them, next to ``imagenet/ILSVRC2012_devkit_t12/``. Networks are tested on the
official validation set, as everywhere. Classes are numbered in the order of their wnids.

ImageNet-A and ImageNet-O are photographs that its classifiers get wrong, and photographs of none of its classes: D.
Hendrycks, K. Zhao, S. Basart, J. Steinhardt and D. Song, Natural Adversarial Examples, CVPR 2021, arXiv:1907.07174.
``imagenet-a/<wnid>/`` and ``imagenet-o/<wnid>/`` in the data root, as the official archives unpack. Only the logits of
the 200 classes that have a folder count; ImageNet's own folders say which of the 1,000 they are.
"""

import contextlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import scipy.io
import torch
from torch import Tensor

from trainables.datasets.dataset import INSIDE, OUTSIDE, DataError, EvaluationSet
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import class_names, entries, in_class_folders, listed, read_table, require_count
from trainables.datasets.photographs import photographs

FOLDER = "imagenet"
DEVKIT = "ILSVRC2012_devkit_t12/data"
NUM_CLASSES = 1000
SUBSET_CLASSES = 200  # ImageNet-A and ImageNet-O have 200 each, not the same


def files(root: Path, num_classes: int) -> tuple[FileList, FileList]:
    """List both splits."""
    folder = root / FOLDER
    classes = class_names(folder / "train", num_classes)
    return in_class_folders(folder / "train", classes), validation(root, classes)


def validation(root: Path, classes: list[str]) -> FileList:
    """Return the validation images, in class folders or flat; raise ``DataError`` if one is missing."""
    folder = root / FOLDER
    if any(entry.name.startswith("ILSVRC2012_val_") for entry in entries(folder / "val")):
        return flat_validation(folder, classes)
    return in_class_folders(folder / "val", classes)


def flat_validation(folder: Path, classes: list[str]) -> FileList:
    """Return the validation images, all in one folder as in their archive, with the labels of the development kit."""
    meta = folder / DEVKIT / "meta.mat"
    place = {wnid: label for label, wnid in enumerate(classes)}
    try:
        synsets = scipy.io.loadmat(meta, squeeze_me=True)["synsets"]
        wnid_of = {str(int(synset["ILSVRC2012_ID"])): str(synset["WNID"]) for synset in synsets}
    except Exception as error:  # a broken file can raise nearly anything
        raise DataError(
            f"{meta} cannot be read, and {folder / 'val'} has no class folders; unpack ILSVRC2012_devkit_t12.tar.gz to "
            f"{folder}"
        ) from error
    truth = folder / DEVKIT / "ILSVRC2012_validation_ground_truth.txt"
    pairs = ((f"ILSVRC2012_val_{number:08}.JPEG", word) for number, (word,) in enumerate(read_table(truth, 1), 1))
    label_of = {identifier: place[wnid] for identifier, wnid in wnid_of.items() if wnid in place}
    return listed(folder / "val", truth, pairs, label_of)


IMAGENET = photographs(
    name="imagenet",
    title="ImageNet",
    folder=FOLDER,
    num_classes=NUM_CLASSES,
    num_train=1_281_167,
    num_test=50_000,
    files=files,
    remedy="unpack ILSVRC2012_img_train.tar to {root}/imagenet/train/<wnid>/ and ILSVRC2012_img_val.tar to "
    "{root}/imagenet/val/<wnid>/",
)


def imagenet_classes(root: Path) -> list[str]:
    """Return the wnids of ImageNet's classes in the order of their labels, from the names of its class folders."""
    folder = root / FOLDER
    for split in "val", "train":
        with contextlib.suppress(DataError):
            return class_names(folder / split, NUM_CLASSES)
    raise DataError(
        f"the order of ImageNet's classes is not known: {folder} needs a folder val or train with its "
        f"{NUM_CLASSES} class folders, which may be empty"
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
    inside = validation(root, imagenet_classes(root))
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
