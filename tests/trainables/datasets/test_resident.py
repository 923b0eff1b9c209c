"""A split of 23 images of 16x12 pixels; the labels number the images."""

import hashlib

import pytest
import torch

from tests.trainables.datasets.test_every_source import epoch
from trainables.augment.crop_and_flip import crop_and_flip
from trainables.datasets import DATASETS, resident
from trainables.datasets.dataset import DataError, Split, Splits
from trainables.datasets.resident import Resident, fingerprint, load_cached

N, C, H, W = 23, 3, 16, 12


def split():
    images = torch.randint(0, 256, (N, C, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[0, :, 0, 0] = torch.tensor([0, 51, 255], dtype=torch.uint8)
    return Split(images, torch.arange(N))


def test_values_are_exact_shares_of_255():
    images, _ = next(Resident(split(), "cpu", augment=None).test_batches(10))
    assert images[0, :, 0, 0].tolist() == [0.0, pytest.approx(0.2, abs=1e-8), 1.0]
    assert torch.equal(images, split().images[:10] / 255)


def test_augmentation_sees_bytes_and_leaves_the_split_alone():
    seen = []

    def note(images, rng):
        seen.append((images.dtype, tuple(images.shape)))
        return images.zero_()  # in place, on purpose

    given = split()
    source = Resident(given, "cpu", augment=note)
    images, _ = epoch(source, batch_size=20)
    assert seen == [(torch.uint8, (20, C, H, W)), (torch.uint8, (3, C, H, W))]
    assert images.max() == 0
    for images, _ in source.test_batches(5):
        images.zero_()  # here too
    assert torch.equal(given.images, split().images)
    assert torch.equal(next(source.test_batches(N))[0], split().images / 255)


def test_grey_images_keep_their_channel():
    grey = Split(split().images[:, :1], split().labels)
    images, _ = next(Resident(grey, "cpu", augment=crop_and_flip).test_batches(4))
    assert torch.equal(images, grey.images[:4] / 255)


def test_the_fingerprint_is_a_hash_of_types_shapes_and_bytes_however_many_are_read_at_once(monkeypatch):
    """So that runs of any version know whether they had the same data."""
    whole = split()
    digest = hashlib.sha256(b"torch.uint8(23, 3, 16, 12)" + whole.images.numpy().tobytes())
    digest.update(b"torch.int64(23,)" + whole.labels.numpy().tobytes())
    for images_at_a_time in (5, 4096):
        monkeypatch.setattr(resident, "HASHED", images_at_a_time)
        assert fingerprint([whole]) == digest.hexdigest()[:16]


def test_fingerprint_changes_with_one_pixel_one_label_or_the_border_between_the_splits():
    whole = split()

    def of(images=whole.images, labels=whole.labels, border=15):
        return fingerprint(Splits(Split(images[:border], labels[:border]), Split(images[border:], labels[border:])))

    pixel, label = whole.images.clone(), whole.labels.clone()
    pixel[22, 2, 15, 11] ^= 1
    label[0] += 1
    prints = [of(), of(images=pixel), of(labels=label), of(border=14)]
    assert len(set(prints)) == 4
    assert all(len(p) == 16 and int(p, 16) >= 0 for p in prints)
    assert of(images=whole.images.contiguous(memory_format=torch.channels_last)) == of()  # content, not layout


class Remote:
    """A data set that is fetched by ``prepare``, or cannot be."""

    def __init__(self, there):
        self.there, self.calls = there, []

    def prepare(self, root):
        self.calls.append("prepare")
        if not self.there:
            raise DataError("it could not be obtained")

    def load(self, root):
        self.calls.append("load")
        if "prepare" not in self.calls:
            raise DataError("a file is missing")
        return Splits(split(), split())


def test_load_cached_fetches_what_is_missing_once_or_says_why_it_cannot(tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "remote", remote := Remote(there=True))
    first = load_cached("remote", tmp_path)
    assert load_cached("remote", tmp_path) is first
    assert remote.calls == ["load", "prepare", "load"]

    monkeypatch.setitem(DATASETS, "lost", Remote(there=False))
    with pytest.raises(DataError, match="could not be obtained"):
        load_cached("lost", tmp_path)
