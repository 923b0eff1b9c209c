"""A split of 45 image files of many sizes; the labels number the images."""

import os

import pytest
import torch

from tests.trainables.datasets.test_every_source import epoch
from tests.waiting import STANDING_STILL_SECONDS
from trainables.augment.crop_and_flip import crop_and_flip, flip
from trainables.datasets import streamed
from trainables.datasets.dataset import DataError
from trainables.datasets.decoding import View
from trainables.datasets.file_list import FileList
from trainables.datasets.streamed import Streamed
from trainables.seeds import generator

N = 45
CROP = View(size=16, resize=None, scale=0.08)
CENTRE = View(size=16, resize=18)


@pytest.fixture
def files(tmp_path, picture):
    for i in range(N):
        picture(tmp_path / f"{i}.jpg", i, width=20 + i % 7, height=20 + i % 11)
    return FileList.of(tmp_path, [f"{i}.jpg" for i in range(N)], range(N))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(streamed, "CHUNK", 4)  # so that 45 images are many chunks


def source(files, **options):
    return Streamed(files, "cpu", **{"train_view": CROP, "test_view": CENTRE, "augment": flip, "workers": 0, **options})


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing_and_leaves_torch_s_global_generator_alone(files):
    train, train_labels = epoch(source(files, augment=crop_and_flip))
    test = torch.cat([images for images, _ in source(files).test_batches(7)])
    other = source(files, augment=crop_and_flip, workers=2)
    state = torch.get_rng_state()
    images, labels = epoch(other)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, train)
    assert torch.equal(labels, train_labels)
    assert torch.equal(torch.cat([images for images, _ in other.test_batches(7)]), test)
    assert other.workers_mib > 0


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_truncated_image_stops_the_epoch_or_is_skipped_by_choice_and_named_once(files, truncated, capsys, workers):
    path = truncated(files.path(30))
    with pytest.raises(DataError, match=rf"^{path} is not a whole image \([^\n]*\): .* set bad_images 'skip'"):
        epoch(source(files, workers=workers))
    skipping = source(files, workers=workers, skip_bad=True)
    expected = sorted(set(range(N)) - {int(files.labels[30])})
    for number in 1, 2:
        assert sorted(epoch(skipping, number)[1].tolist()) == expected
    assert capsys.readouterr().err.count(str(path)) == 1


def test_a_batch_of_bad_images_only_is_no_batch(files, truncated):
    for index in range(5):
        truncated(files.path(index))
    batches = list(source(files, skip_bad=True).test_batches(5))
    assert [len(labels) for _, labels in batches] == [5] * 8


@pytest.mark.slow
def test_an_abandoned_epoch_leaves_no_process(files):
    import psutil

    before = set(psutil.Process().children())
    batches = source(files, workers=2).train_batches(5, generator(0, "data"), generator(0, "augment"))
    next(batches)
    started = set(psutil.Process().children()) - before
    assert len(started) == 2
    assert all(os.getpgid(worker.pid) == worker.pid for worker in started)  # a signal to our group is not theirs
    batches.close()
    assert psutil.wait_procs(started, timeout=STANDING_STILL_SECONDS)[1] == []
