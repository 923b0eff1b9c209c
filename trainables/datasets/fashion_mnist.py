"""Fashion-MNIST: 70,000 grey images of 28x28 pixels in 10 classes (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747).

Kept as the four IDX files, unpacked, where torchvision keeps them: ``FashionMNIST/raw/`` in the data root. The
checksums are of the unpacked files, because packagings differ in the header of the ``.gz`` around the same content.
"""

import gzip
import shutil
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from trainables.datasets import download
from trainables.datasets.dataset import DataError, Dataset, Split, Splits
from trainables.datasets.verified_files import Contents, Source, fetch, has_md5, in_data_root, read_verified

FOLDER = "FashionMNIST/raw"
MD5: Mapping[str, str] = {
    f"{FOLDER}/train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    f"{FOLDER}/train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    f"{FOLDER}/t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    f"{FOLDER}/t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}

# The official page and a copy of the same files.
URLS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
GZ_MD5: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


def prepare(root: Path, md5: Mapping[str, str] = MD5) -> None:
    """Make sure that the four files are intact under ``root``; fetch those that are not."""
    folder = "fashion-mnist"
    fetch(
        root,
        title="Fashion-MNIST",
        md5=md5,
        sources=(
            in_data_root(root, folder, from_gz_folder(root / folder, md5)),
            *(Source(download.host(url), _from_web(url, root / ".fashion-mnist", md5)) for url in URLS),
        ),
        remedy=f"put the four official files, train-images-idx3-ubyte.gz and so on, in {root / folder}",
    )


def load(root: Path, md5: Mapping[str, str] = MD5) -> Splits:
    """Read the four files; images (60000, 1, 28, 28) and (10000, 1, 28, 28) uint8."""
    return Splits(train=_split(root, "train", md5), test=_split(root, "t10k", md5))


def _split(root: Path, prefix: str, md5: Mapping[str, str]) -> Split:
    images = read_idx(read_verified(root, f"{FOLDER}/{prefix}-images-idx3-ubyte", md5))
    labels = read_idx(read_verified(root, f"{FOLDER}/{prefix}-labels-idx1-ubyte", md5))
    return Split(torch.from_numpy(images.copy())[:, None], torch.from_numpy(labels.astype(np.int64)))


def read_idx(content: bytes) -> npt.NDArray[np.uint8]:
    """Return the bytes of an IDX file as an array: two zeros, 8, the number of axes, their sizes, the values."""
    axes = content[3]
    shape = np.frombuffer(content, ">u4", count=axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def from_gz_folder(folder: Path, md5: Mapping[str, str]) -> Contents:
    """Yield the files of ``md5``, unpacked from the ``.gz`` of the same name in ``folder``."""
    for path in md5:
        file = folder / f"{Path(path).name}.gz"
        try:
            yield path, gzip.decompress(file.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{file} cannot be read ({error})") from error


def _from_web(url: str, folder: Path, md5: Mapping[str, str]) -> Contents:
    for name, digest in GZ_MD5.items():
        download.fetch_file(url + name, folder / name, partial(has_md5, digest=digest))
    yield from from_gz_folder(folder, md5)
    shutil.rmtree(folder)


FASHION_MNIST = Dataset(
    name="fashion_mnist",
    num_classes=10,
    image_shape=(1, 28, 28),
    num_train=60_000,
    num_test=10_000,
    mean=(0.2860,),
    std=(0.3530,),
    prepare=prepare,
    load=load,
    folder=FOLDER,
    fetched=True,
)
