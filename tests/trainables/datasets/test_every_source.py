"""The laws of every source of batches: images in the device's memory, and files that are decoded as they are seen."""

import pytest
import torch

from trainables.augment.crop_and_flip import crop_and_flip
from trainables.datasets import streamed
from trainables.datasets.dataset import Split
from trainables.datasets.decoding import View
from trainables.datasets.file_list import FileList
from trainables.datasets.resident import Resident
from trainables.datasets.streamed import Streamed
from trainables.seeds import generator

N = 23


@pytest.fixture(params=["resident", "streamed"])
def source(request, tmp_path, picture, monkeypatch):
    """Return a function that opens the same N images, whose labels number them, with an augmentation."""
    for i in range(N):
        picture(tmp_path / f"{i}.png", i, width=20, height=24)
    files = FileList.of(tmp_path, [f"{i}.png" for i in range(N)], range(N))
    monkeypatch.setattr(streamed, "CHUNK", 4)  # so that 23 images are many chunks
    views = {"train_view": View(size=16, resize=None, scale=0.08), "test_view": View(size=16, resize=18)}
    images = torch.randint(0, 256, (N, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

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
    assert labels.sort().values.tolist() == list(range(N))
    assert labels.tolist() != list(range(N))
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
