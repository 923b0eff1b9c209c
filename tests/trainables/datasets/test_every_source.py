"""The laws of every source of batches: images in the device's memory, and files that are decoded as they are seen.

Those in memory are known by a fingerprint.
"""

import hashlib
from types import SimpleNamespace

import pytest
import torch

from tests.trainables.datasets.files import require_refused
from tests.trainables.seeded import seeded
from trainables.augment.crop_and_flip import crop_and_flip
from trainables.datasets import DATASETS, resident, streamed
from trainables.datasets.dataset import DataError, Split, Splits
from trainables.datasets.decoding import View
from trainables.datasets.file_list import FileList
from trainables.datasets.resident import Resident, fingerprint, load_cached
from trainables.datasets.streamed import Streamed
from trainables.seeds import generator

N, C, H, W = 23, 3, 16, 12


@pytest.fixture(params=["resident", "streamed"])
def source(request, tmp_path, picture, monkeypatch):
    """Return a function that opens the same N images, whose labels number them, with an augmentation."""
    for i in range(N):
        picture(tmp_path / f"{i}.png", i, width=20, height=24)
    files = FileList.of(tmp_path, [f"{i}.png" for i in range(N)], range(N))
    monkeypatch.setattr(streamed, "CHUNK", 4)  # so that 23 images are many chunks
    views = {"train_view": View(size=16, resize=None, scale=0.08), "test_view": View(size=16, resize=18)}
    images = torch.randint(0, 256, (N, 3, 16, 16), dtype=torch.uint8, generator=seeded())

    def opened(augment=crop_and_flip):
        if request.param == "resident":
            return Resident(Split(images, torch.arange(N)), "cpu", augment=augment)
        return Streamed(files, "cpu", augment=augment, workers=0, **views)

    return opened


def epoch(source, number=1, batch_size=10):
    """Return the images and labels of an epoch."""
    batches = list(source.train_batches(batch_size, generator(0, "data", number), generator(0, "augment", number)))
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


@pytest.mark.parametrize("augment", [None, crop_and_flip])
def test_batches_are_float32_channels_last_and_the_last_is_partial(source, augment):
    opened = source(augment)
    for batches in opened.train_batches(5, generator(0, "data"), generator(0, "augment")), opened.test_batches(5):
        sizes = []
        for images, labels in batches:
            sizes.append(len(labels))
            assert images.shape == (len(labels), 3, 16, 16)
            assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
            assert images.is_contiguous(memory_format=torch.channels_last)
            assert 0 <= images.min() < images.max() <= 1
        assert sizes == [5, 5, 5, 5, 3]


def test_an_epoch_gives_every_image_once_and_can_be_replayed_and_the_next_differs(source):
    opened = source()
    (images, labels), (again, again_labels), (other, other_labels) = (epoch(opened, number) for number in (1, 1, 2))
    assert sorted(labels.tolist()) == list(range(N)) != labels.tolist()
    assert torch.equal(images, again)
    assert torch.equal(labels, again_labels)
    assert not torch.equal(labels, other_labels)
    assert not torch.equal(images[labels.argsort()], other[other_labels.argsort()])  # same images, other windows


def test_neither_augmentation_nor_the_size_of_a_batch_moves_the_order(source):
    (plain, labels), (changed, changed_labels) = epoch(source(None)), epoch(source(), batch_size=7)
    assert torch.equal(labels, changed_labels)
    assert not torch.equal(plain, changed)


def test_without_augmentation_an_image_is_the_same_wherever_it_comes_in_an_epoch(source):
    """The crop of a file is its own, too."""
    images, labels = epoch(source(None))
    batches = list(source(None).train_batches(7, generator(9, "data"), generator(0, "augment", 1)))
    other, other_labels = (torch.cat(part) for part in zip(*batches, strict=True))
    assert not torch.equal(labels, other_labels)
    assert torch.equal(images[labels.argsort()], other[other_labels.argsort()])
    later, later_labels = epoch(source(None), 2)
    same = torch.equal(images[labels.argsort()], later[later_labels.argsort()])
    assert same == isinstance(source(None), Resident)  # files have other crops in the next epoch


def test_test_batches_keep_the_order_and_are_not_augmented(source):
    """The order of files is that of their list."""
    first = source(None)
    (plain, labels), (augmented, again) = (
        [torch.cat(part) for part in zip(*opened.test_batches(4), strict=True)]
        for opened in (first, source(lambda images, rng: images * 0))
    )
    assert torch.equal(plain, augmented)
    assert torch.equal(labels, again)
    assert torch.equal(labels, first.labels if isinstance(first, Resident) else first.files.labels)


def oblong() -> Split:
    """Return 23 images of 16x12 pixels, whose labels number them."""
    images = torch.randint(0, 256, (N, C, H, W), dtype=torch.uint8, generator=seeded())
    return Split(images, torch.arange(N))


def test_augmentation_sees_bytes_and_leaves_the_split_alone_and_values_are_exact_shares_of_255():
    seen = []

    def note(images, rng):
        seen.append((images.dtype, tuple(images.shape)))
        return images.zero_()  # in place, on purpose

    given = oblong()
    source = Resident(given, "cpu", augment=note)
    images, _ = epoch(source, batch_size=20)
    assert seen == [(torch.uint8, (20, C, H, W)), (torch.uint8, (3, C, H, W))]
    assert images.max() == 0
    for images, _ in source.test_batches(5):
        images.zero_()  # here too
    assert torch.equal(given.images, oblong().images)
    assert torch.equal(next(source.test_batches(N))[0], oblong().images / 255)


def test_grey_images_keep_their_channel():
    grey = Split(oblong().images[:, :1], oblong().labels)
    images, _ = next(Resident(grey, "cpu", augment=crop_and_flip).test_batches(4))
    assert torch.equal(images, grey.images[:4] / 255)


def test_the_fingerprint_is_a_hash_of_types_shapes_and_bytes_however_many_are_read_at_once(monkeypatch):
    """It tells runs of any two versions whether they had the same data."""
    whole = oblong()
    digest = hashlib.sha256(b"torch.uint8(23, 3, 16, 12)" + whole.images.numpy().tobytes())
    digest.update(b"torch.int64(23,)" + whole.labels.numpy().tobytes())
    for images_at_a_time in (5, 4096):
        monkeypatch.setattr(resident, "HASHED", images_at_a_time)
        assert fingerprint([whole]) == digest.hexdigest()[:16]


def test_fingerprint_changes_with_one_pixel_one_label_or_the_border_between_the_splits():
    whole = oblong()

    def of(images=whole.images, labels=whole.labels, border=15):
        return fingerprint(Splits(Split(images[:border], labels[:border]), Split(images[border:], labels[border:])))

    pixel, label = whole.images.clone(), whole.labels.clone()
    pixel[22, 2, 15, 11] ^= 1
    label[0] += 1
    assert len({of(), of(images=pixel), of(labels=label), of(border=14)}) == 4
    assert of(images=whole.images.contiguous(memory_format=torch.channels_last)) == of()  # content, not layout


def test_load_cached_fetches_what_is_missing_once_or_says_why_it_cannot(tmp_path, monkeypatch):
    calls = []

    def load(root):
        calls.append("load")
        if "prepare" not in calls:
            raise DataError("a file is missing")
        return Splits(oblong(), oblong())

    def refuse(root):
        raise DataError("it could not be obtained")

    for name, prepare in (("remote", lambda root: calls.append("prepare")), ("lost", refuse)):
        monkeypatch.setitem(DATASETS.data, name, SimpleNamespace(load=load, prepare=prepare))
    first = load_cached("remote", tmp_path)
    assert load_cached("remote", tmp_path) is first
    assert calls == ["load", "prepare", "load"]
    calls.clear()
    require_refused("could not be obtained", load_cached, "lost", tmp_path)
