"""Small files in the official layout, written here without the code under test."""

import pickle

import numpy as np

from tests.servers import file_server
from tests.trainables.datasets.files import in_place, md5_of, require_refused, tar, write
from trainables.datasets import DATASETS, cifar100, download


def batch(labels):
    images = np.zeros((len(labels), 3, 32, 32), np.uint8)
    images[:, 0], images[:, 1], images[:, 2] = 10, 20, 30  # red, green, blue
    images[:, 0, 0, 1] = 11  # row 0, column 1
    images[:, 0, 31, 31] = labels
    named = {"fine_labels": labels, "coarse_labels": [label // 5 for label in labels]}
    return pickle.dumps({"data": images.reshape(len(labels), 3072), **named}, protocol=2)


FILES = {"cifar-100-python/train": batch([99, 0, 42, 7]), "cifar-100-python/test": batch([13, 87])}
ARCHIVE = tar({**FILES, "cifar-100-python/meta": b"class names"})
MD5 = md5_of({**FILES, "cifar-100-python.tar.gz": ARCHIVE})


def test_load_gives_fine_labels_and_channels_in_order(tmp_path):
    write(tmp_path, FILES)
    train, test = cifar100.load(tmp_path, MD5)
    assert (train.labels.tolist(), test.labels.tolist()) == ([99, 0, 42, 7], [13, 87])
    assert train.images.shape == (4, 3, 32, 32)
    assert train.images[2, :, (5, 0, 1), (5, 1, 0)].T.tolist() == [[10, 20, 30], [11, 20, 30], [10, 20, 30]]
    assert train.images[:, 0, 31, 31].tolist() == [99, 0, 42, 7]


def test_an_archive_in_the_data_root_is_unpacked_and_replaces_the_broken_file_alone(tmp_path, asked):
    write(tmp_path, {**FILES, "cifar-100-python/train": b"half", "cifar-100-python.tar.gz": ARCHIVE})
    untouched = (tmp_path / "cifar-100-python/test").stat().st_mtime_ns
    cifar100.prepare(tmp_path, MD5)
    assert in_place(tmp_path, FILES) == FILES
    assert (tmp_path / "cifar-100-python/test").stat().st_mtime_ns == untouched
    assert asked == []


def test_a_mirror_goes_on_where_the_official_page_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)
    with file_server.running(ARCHIVE, "cut", 404) as official, file_server.running(ARCHIVE) as mirror:
        monkeypatch.setattr(cifar100, "URLS", (official.url, mirror.url))
        cifar100.prepare(tmp_path, MD5)
    assert in_place(tmp_path, FILES) == FILES
    third = len(ARCHIVE) // 3
    assert (official.asked, mirror.asked) == ([0, third], [third])
    assert {path.name for path in tmp_path.iterdir()} == {"cifar-100-python", ".cifar-100.lock"}


def test_broken_archive_is_not_opened(tmp_path, asked):
    write(tmp_path, {"cifar-100-python.tar.gz": ARCHIVE[:-1]})
    require_refused(r"cifar-100-python\.tar\.gz is broken: its md5 is not", cifar100.prepare, tmp_path, MD5)
    assert in_place(tmp_path, FILES) == {}
    assert asked == ["www.cs.toronto.edu", "huggingface.co"]


def test_one_sentence_says_which_file_to_put_where_and_what_to_run_instead(tmp_path):
    remedy = f"put the official cifar-100-python.tar.gz in {tmp_path}, or run the same study with --dataset cifar10"
    require_refused(rf"^CIFAR-100 could not be obtained \(.*\); {remedy}$", DATASETS["cifar100"].prepare, tmp_path)


def test_checksums_are_those_that_torchvision_knows():
    from torchvision.datasets import CIFAR100

    known = {f"cifar-100-python/{name}": digest for name, digest in (*CIFAR100.train_list, *CIFAR100.test_list)}
    assert {**known, "cifar-100-python.tar.gz": CIFAR100.tgz_md5} == cifar100.MD5
