"""Small files in the official layout: images of 16x12 pixels, so that a swapped axis fails."""

import gzip

import numpy as np

from tests.trainables.datasets.files import in_place, md5_of, require_refused, write
from trainables.datasets import download, fashion_mnist
from trainables.datasets.dataset import DataError


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


TRAIN = np.random.default_rng(0).integers(0, 256, (5, 16, 12), np.uint8)
TEST = np.random.default_rng(1).integers(0, 256, (2, 16, 12), np.uint8)
FILES = {
    "FashionMNIST/raw/train-images-idx3-ubyte": idx(TRAIN),
    "FashionMNIST/raw/train-labels-idx1-ubyte": idx(np.array([9, 0, 3, 3, 1], np.uint8)),
    "FashionMNIST/raw/t10k-images-idx3-ubyte": idx(TEST),
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": idx(np.array([2, 8], np.uint8)),
}
MD5 = md5_of(FILES)


PACKED = {f"{path.split('/')[-1]}.gz": gzip.compress(content) for path, content in FILES.items()}


def test_packed_files_in_the_data_root_are_unpacked_and_read(tmp_path, asked):
    write(tmp_path, {f"fashion-mnist/{name}": content for name, content in PACKED.items()})
    fashion_mnist.prepare(tmp_path, MD5)
    train, test = fashion_mnist.load(tmp_path, MD5)
    assert asked == []
    assert (train.images.tolist(), test.images.tolist()) == (TRAIN[:, None].tolist(), TEST[:, None].tolist())
    assert (train.labels.tolist(), test.labels.tolist()) == ([9, 0, 3, 3, 1], [2, 8])


def test_files_from_the_second_page_are_unpacked_into_place(tmp_path, monkeypatch, asked):
    refuse = download.fetch_file

    def fetched(url, file, is_right):
        if "github.com" not in url:
            refuse(url, file)
        write(file.parent, {file.name: PACKED[file.name]})

    monkeypatch.setattr(download, "fetch_file", fetched)
    fashion_mnist.prepare(tmp_path, MD5)
    assert asked == ["fashion-mnist.s3-website.eu-central-1.amazonaws.com"]
    assert in_place(tmp_path, FILES) == FILES
    assert {path.name for path in tmp_path.iterdir()} == {"FashionMNIST", ".fashion-mnist.lock"}


def test_broken_packed_file_is_named(tmp_path):
    for content in (b"half", gzip.compress(b"x" * 1000)[:-9], b""):
        write(tmp_path, {"fashion-mnist/train-images-idx3-ubyte.gz": content})
        require_refused("train-images-idx3-ubyte", fashion_mnist.prepare, tmp_path, MD5)
        assert not (tmp_path / "FashionMNIST").exists()


def test_a_download_goes_on_after_the_files_that_have_arrived(tmp_path, monkeypatch):
    fetched = []

    def stopped(url, file, is_right):
        if len(fetched) == 3:
            raise DataError("no route")
        if not file.exists():
            fetched.append(file.name)
            write(file.parent, {file.name: PACKED[file.name]})

    monkeypatch.setattr(download, "fetch_file", stopped)
    require_refused("no route", fashion_mnist.prepare, tmp_path, MD5)
    fetched.clear()
    fashion_mnist.prepare(tmp_path, MD5)
    assert fetched == ["t10k-labels-idx1-ubyte.gz"]
