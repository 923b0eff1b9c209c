"""A data set as the rest of the code sees it: a description, a way to fetch it and a way to read it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from torch import Generator, Tensor

from trainables.datasets.file_list import FileList


class DataError(ValueError):
    """A data set is unavailable or wrong; the message is one sentence for the user.

    Every function that reads or fetches files raises it, and names the first file that is missing, broken or
    unexpected.
    """


class Split(NamedTuple):
    """Images decoded once, and their labels."""

    images: Tensor  # (N, C, H, W) uint8
    labels: Tensor  # (N,) int64

    def take(self, indices: Tensor | slice) -> "Split":
        """Return the images at ``indices`` (n,), in that order; those of a slice are not copied."""
        return Split(self.images[indices], self.labels[indices])


Boxes = Mapping[str, Sequence[float]]  # around objects, by the image's file: (left, top, right, bottom) in pixels
Images = Split | FileList  # decoded once and kept on the device, or decoded anew each epoch


class Splits(NamedTuple):
    """The official training and test sets."""

    train: Images
    test: Images


class BatchSource(Protocol):
    """A source of batches for the training loop; the images live on the device or are streamed from files."""

    workers_mib: float  # the most memory that its worker processes were seen to take, in MiB
    skipped: set[str]  # why images that cannot be decoded were left out so far: a sentence for each

    def __len__(self) -> int:
        """Return the number of images, N."""

    def train_batches(self, batch_size: int, order: Generator, augment: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once, in random order, augmented: (B, C, H, W) float32 in [0, 1] and labels (B,) int64.

        The last batch may be smaller. The generator ``order`` is on the CPU, so that the order does not depend on the
        device; ``augment`` is on the device, and fresh for the epoch.
        """

    def test_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once, in the order of the split, without augmentation."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One data set. ``prepare`` and ``load`` take the data root, the folder that holds all data sets."""

    name: str
    num_classes: int
    image_shape: tuple[int, int, int]  # (C, H, W) as the network sees them, unless a study sets image_size
    num_train: int | None  # None: it depends on the folder
    num_test: int | None
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]
    std: tuple[float, ...]
    own: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # its own, where those are of another data set
    prepare: Callable[[Path], object]  # fetch and verify; returns at once when all is there; DataError if that fails
    load: Callable[[Path], Splits]  # read verified files; DataError when they are missing or broken
    folder: str = ""  # where its files are, below the argument of ``prepare``
    fetched: bool = False  # whether ``prepare`` can fetch them
    in_folder: bool = False  # a study names its folder in the data root (``folder``) and its number of classes
    streamed: bool = False  # whether its images stay on disk, and are decoded anew each epoch
    crop_ratio: float = 1.0  # the side of the test's centre crop, as a share of the shorter side it is cut from
    boxes: Callable[[Path], Boxes] | None = None  # read the boxes around the objects of its images

    def __post_init__(self) -> None:
        channels, numbers = self.image_shape[0], (*self.mean, *self.std)
        if not len(self.mean) == len(self.std) == channels or not 0 <= min(numbers) <= max(numbers) <= 1:
            valid = f"one number for each channel, {channels} in all, of pixels in [0, 1]"
            raise ValueError(f"mean and std of {self.name} must have {valid}, got {self.mean} and {self.std}")


OUTSIDE, INSIDE = "outside", "inside"  # the two parts of a set with images of none of the classes


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """A set that trained classifiers are only evaluated on; labels are those of ``trained_on``."""

    name: str
    trained_on: str  # the data set, by its name in DATASETS, whose classifiers are evaluated
    parts: tuple[str, ...]
    load: Callable[[Path, str], Images]  # takes the data root and a part; DataError when a file is missing or broken
    classes: Callable[[Path], Tensor] | None = None  # (200,) int64, of the data root: the only logits that count

    def prepare(self, root: Path) -> None:
        """Check every part; ``DataError`` names the first file that is missing or broken."""
        for part in self.parts:
            self.load(root, part)


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
