"""A split that lives on the device: decoded once, kept whole, and cut into batches there.

Shape letters: N images of the split, B batch, C channels, H height, W width.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import torch
from torch import Generator, Tensor

from trainables.datasets import DATASETS
from trainables.datasets.dataset import DataError, Images, Split, Splits
from trainables.datasets.file_list import FileList

Augment = Callable[[Tensor, Generator], Tensor]  # (B, C, H, W) uint8 -> uint8, of any height and width
TestView = Callable[[Tensor], Tensor]  # the same without randomness
HASHED = 4096  # images that are hashed at a time


class Resident:
    """A split kept whole on the device as uint8, and cut into augmented or plain batches there.

    Images come out as (B, C, H, W) float32 in [0, 1], channels_last, not normalised by mean and standard deviation:
    the network does that itself, after mixing. The last batch of an epoch is smaller where B does not divide N.
    """

    def __init__(
        self, split: Split, device: torch.device | str, *, augment: Augment | None, test_view: TestView | None = None
    ) -> None:
        # Memory is ordered by row, column, channel: a batch is then channels_last without a copy.
        self.images = split.images.permute(0, 2, 3, 1).contiguous().to(device)  # (N, H, W, C)
        self.labels = split.labels.to(device)  # (N,)
        self.augment = augment
        self.test_view = test_view
        self.workers_mib = 0.0
        self.skipped: set[str] = set()

    def __len__(self) -> int:
        return len(self.labels)

    def train_batches(self, batch_size: int, order: Generator, augment: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        indices = torch.randperm(len(self), generator=order).to(self.labels.device)
        for chosen in indices.split(batch_size):
            images = self.images.index_select(0, chosen).permute(0, 3, 1, 2)
            if self.augment is not None:
                images = self.augment(images, augment)
            yield in_unit_range(images), self.labels[chosen]

    def test_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        batches = self.images.split(batch_size), self.labels.split(batch_size)
        for images, labels in zip(*batches, strict=True):
            images = images.permute(0, 3, 1, 2)
            if self.test_view is not None:
                images = self.test_view(images)
            yield in_unit_range(images), labels


def in_unit_range(images: Tensor) -> Tensor:
    """Return bytes (B, C, H, W) as float32 in [0, 1], channels_last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def fingerprint(splits: Iterable[Images]) -> str:
    """Return 16 hex digits of a SHA-256 over shapes, images and labels, which identify the data of a run.

    For images that stay on disk, ``FileList.digest`` is hashed.
    """
    digest = hashlib.sha256()
    for split in splits:
        if isinstance(split, FileList):
            digest.update(split.digest())
            continue
        for tensor in split:
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            for part in tensor.split(HASHED):  # a part at a time: it may have to be copied
                digest.update(part.cpu().contiguous().numpy().data)
    return digest.hexdigest()[:16]


@lru_cache(maxsize=2)
def load_cached(name: str, root: Path) -> Splits:
    """Return ``DATASETS[name].load(root)``, cached for the next trial of this process; do not change its tensors.

    Missing or broken files are fetched first, by one process of the machine while the others wait; ``DataError`` is
    raised if that fails.
    """
    dataset = DATASETS[name]
    try:
        return dataset.load(root)
    except DataError:
        dataset.prepare(root)
        return dataset.load(root)
