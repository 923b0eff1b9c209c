"""CIFAR-100: 60,000 colour images of 32x32 pixels in 100 classes.

From Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.

Read from the official python version, ``cifar-100-python/`` in the data root. Labels are the 100 fine ones. Mean and
standard deviation are those of CIFAR-10, as in OpenMixup's CIFAR-100 configurations, so that its numbers compare. With
``normalisation="own"`` they are CIFAR-100's, as in the code of Co-Mixup.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trainables.datasets.cifar10 import CIFAR10, read_batch
from trainables.datasets.dataset import Split, Splits
from trainables.datasets.download import web_sources
from trainables.datasets.verified_files import Contents, archive_members, fetch, in_data_root, read_verified

TRAIN = "cifar-100-python/train"
TEST = "cifar-100-python/test"
ARCHIVE = "cifar-100-python.tar.gz"

# The checksums of the official files, by their path under the data root.
MD5: Mapping[str, str] = {
    TRAIN: "16019d7e3df5f24257cddd939b257f8d",
    TEST: "f0ef6b0ae62326f3e7ffdfab6717acfc",
    ARCHIVE: "eb9058c3a382ffc7106e4002c42a8d85",
}
# The official page, which is slow for many, and a copy of the same file.
URLS = (
    f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}",
    f"https://huggingface.co/datasets/nakroy/cifar100-python/resolve/main/{ARCHIVE}",
)


def prepare(root: Path, md5: Mapping[str, str] = MD5) -> None:
    """Make sure that ``cifar-100-python/train`` and ``test`` are intact under ``root``; fetch them if they are not."""

    def unpacked() -> Contents:
        return archive_members(root, ARCHIVE, md5, (TRAIN, TEST))

    fetch(
        root,
        title="CIFAR-100",
        md5={path: md5[path] for path in (TRAIN, TEST)},
        sources=(in_data_root(root, ARCHIVE, unpacked()), *web_sources(URLS, root / ARCHIVE, md5[ARCHIVE], unpacked)),
        remedy=f"put the official {ARCHIVE} in {root}, or run the same study with --dataset cifar10",
    )


def load(root: Path, md5: Mapping[str, str] = MD5) -> Splits:
    """Read the python version; images (50000, 3, 32, 32) and (10000, 3, 32, 32) uint8, fine labels."""
    return Splits(train=_split(root, TRAIN, md5), test=_split(root, TEST, md5))


def _split(root: Path, path: str, md5: Mapping[str, str]) -> Split:
    batch = read_batch(read_verified(root, path, md5))
    pixels = np.asarray(batch["data"], np.uint8)  # (N, 3072) in the order of channel, row, column
    return Split(
        images=torch.from_numpy(pixels.copy()).view(-1, 3, 32, 32),
        labels=torch.tensor(batch["fine_labels"], dtype=torch.int64),
    )


CIFAR100 = replace(
    CIFAR10,
    name="cifar100",
    num_classes=100,
    own=((129.3 / 255, 124.1 / 255, 112.4 / 255), (68.2 / 255, 65.4 / 255, 70.4 / 255)),
    prepare=prepare,
    load=load,
    folder="cifar-100-python",
)
