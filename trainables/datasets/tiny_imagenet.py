"""Tiny-ImageNet: 100,000 training and 10,000 validation images of 64x64 pixels in 200 classes.

From Le and Yang, Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N, 2015. ``tiny-imagenet-200/`` in the
data root, as the official archive unpacks. The labels of its test set were never published: networks are tested on its
validation set, as everywhere. The images are decoded once and kept in memory, 1.3 GB.
"""

from dataclasses import replace
from pathlib import Path

import torch

from trainables.datasets.dataset import DataError, Split, Splits
from trainables.datasets.decoding import decode
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import in_class_folders, listed, read_table
from trainables.datasets.photographs import photographs

FOLDER = "tiny-imagenet-200"
SIZE = 64


def files(root: Path, num_classes: int) -> tuple[FileList, FileList]:
    """List both splits; classes are numbered in the order of their wnids."""
    folder = root / FOLDER
    wnids = sorted(wnid for (wnid,) in read_table(folder / "wnids.txt", 1))
    if len(wnids) != num_classes:
        raise DataError(f"{folder / 'wnids.txt'} lists {len(wnids)} classes instead of {num_classes}")
    train = in_class_folders(folder / "train", wnids, inner="images")
    annotations = folder / "val" / "val_annotations.txt"
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    pairs = ((name, wnid) for name, wnid, *_ in read_table(annotations, 6))
    return train, listed(folder / "val" / "images", annotations, pairs, label_of)


def decoded(images: FileList) -> Split:
    """Return every image of the list; each must have 64x64 pixels, and the error names those that do not."""
    pixels = torch.empty(len(images), SIZE, SIZE, 3, dtype=torch.uint8)  # as they are kept on the device: no copy
    for index in range(len(images)):
        image = decode(images.path(index))
        if image.shape[1:] != (SIZE, SIZE):
            height, width = image.shape[1:]
            raise DataError(f"{images.path(index)} has {width}x{height} pixels instead of {SIZE}x{SIZE}")
        pixels[index] = image.permute(1, 2, 0)
    return Split(pixels.permute(0, 3, 1, 2), images.labels)


ON_DISK = photographs(
    name="tiny_imagenet",
    title="Tiny-ImageNet",
    folder=FOLDER,
    num_classes=200,
    num_train=100_000,
    num_test=10_000,
    files=files,
    remedy="unpack the official tiny-imagenet-200.zip to {root}",
)


def load(root: Path) -> Splits:
    """Decode both splits; images (100000, 3, 64, 64) and (10000, 3, 64, 64) uint8."""
    return Splits(*(decoded(images) for images in ON_DISK.load(root) if isinstance(images, FileList)))


TINY_IMAGENET = replace(ON_DISK, image_shape=(3, SIZE, SIZE), streamed=False, crop_ratio=1.0, load=load)
