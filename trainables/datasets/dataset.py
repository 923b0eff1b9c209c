"""What a data set is to the rest of the code: a description, a way to fetch it, a way to read it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor


class DataError(ValueError):
    """A data set that cannot be had or is not what it should be; the message is one sentence for the user."""


class Split(NamedTuple):
    """Images decoded once, and their labels."""

    images: Tensor  # (N, C, H, W) uint8
    labels: Tensor  # (N,) int64


class Splits(NamedTuple):
    """The official training and test sets."""

    train: Split
    test: Split


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One data set. ``prepare`` and ``load`` take the data root, the folder that holds all data sets."""

    name: str
    num_classes: int
    image_shape: tuple[int, int, int]  # (C, H, W)
    num_train: int
    num_test: int
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]
    std: tuple[float, ...]
    prepare: Callable[[Path], None]  # fetch and verify; returns at once when all is there; DataError otherwise
    load: Callable[[Path], Splits]  # read verified files; DataError when they are missing or broken
