"""A trial's process, tried without Ray."""

import gc
import itertools
import os
import pickle
import sys
import weakref
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, call

import pytest
import torch
from ray import cloudpickle

from mixlab import Epoch
from mixlab.cluster import worker
from mixlab.cluster.worker import files_of
from mixlab.spec.complete import complete
from mixlab.spec.study import Trial
from tests.mixlab.cluster.reader import CODE, Reader, run_trial, save, work


@pytest.mark.parametrize("error", [None, LookupError("diverged")])
@pytest.mark.usefixtures("ray_tune")
def test_a_trial_leaves_the_process_in_the_folder_in_which_it_began(tmp_path, monkeypatch, error):
    """In a folder that is gone, the next trial of the process would die before it begins."""

    def trains(*_: object) -> None:
        with TemporaryDirectory() as folder:
            os.chdir(folder)
        if error is not None:
            raise error

    monkeypatch.chdir(before := Path.cwd())  # to be restored
    run_trial(work(tmp_path, train=Reader(trains)))
    assert Path.cwd() == before


@pytest.mark.usefixtures("ray_tune")
def test_a_trial_that_was_lost_after_its_last_epoch_is_done(tmp_path):
    worker.write_epochs(tmp_path, [Epoch(1, 1, {})])
    run_trial(work(tmp_path), resume_from=tmp_path)  # the trainable would raise


def test_another_attempt_goes_on_from_its_own_checkpoint_and_not_from_that_of_an_earlier_start(tmp_path, ray_tune):
    for name, number in (("earlier", 1), ("own", 2)):
        (tmp_path / name).mkdir()
        worker.write_epochs(tmp_path / name, [Epoch(number, 3, {})])
    ray_tune.get_checkpoint = lambda: SimpleNamespace(path=str(tmp_path / "own"))
    found: list[Any] = []
    train = Reader(lambda settings, report, _: found.extend(report.epochs))
    run_trial(work(tmp_path, train=train), resume_from=tmp_path / "earlier")
    assert found == [Epoch(2, 3, {})]


def test_a_checkpoint_that_a_disk_has_damaged_is_passed_over(tmp_path, ray_tune):
    found: list[Any] = []
    begun = work(tmp_path, train=Reader(lambda settings, report, _: found.append(len(report.epochs))))
    for epochs in (1, 2, 3):
        folder = Path(begun.storage.trials) / "launch" / "key" / f"checkpoint_{epochs:06}"
        folder.mkdir(parents=True)
        save(folder)
        worker.write_epochs(folder, [Epoch(number, 4, {}) for number in range(1, epochs + 1)])
    run_trial(begun, resume_from=folder)
    for name in ("checkpoint_000003/model.pt", "checkpoint_000002/training.pt", "checkpoint_000001/training.pt"):
        file = folder.parent / name
        file.write_bytes(bytes(file.stat().st_size))
        run_trial(begun, resume_from=folder)
    assert found == [3, 2, 1, 0]
    assert [(report["damaged"], report["latest"]) for report in ray_tune.reported] == [
        (1, Epoch(2, 4, {})),
        (2, Epoch(1, 4, {})),
        (3, None),
    ]
    ray_tune.get_checkpoint = lambda: SimpleNamespace(path=str(folder.parent / "checkpoint_000002"))
    run_trial(begun)
    assert found[4:] == [0]


def test_a_process_keeps_to_its_threads_and_its_share_of_a_gpu(monkeypatch):
    cuda = Mock(**{"is_available.return_value": True, "mem_get_info.return_value": (1, 2**36)})
    monkeypatch.setattr(torch, "cuda", cuda)
    monkeypatch.setattr(torch, "set_num_threads", set_num_threads := Mock())
    monkeypatch.setattr(os, "environ", {"HOME": "/"})
    worker._keep_to_share(3, 0.5)
    worker._keep_to_share(4, 0)  # torch has been imported
    monkeypatch.delitem(sys.modules, "torch")
    worker._keep_to_share(2, 0)  # torch, if it comes, will read this
    limits = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "MKL_DYNAMIC": "FALSE"}
    assert os.environ == {"HOME": "/", **limits}
    assert set_num_threads.mock_calls == [call(3), call(4)]
    share = worker.share_of_tensors(0.5, 2**36)
    assert cuda.set_per_process_memory_fraction.mock_calls == [call(share), call(1.0)]
    assert cuda.empty_cache.call_count == 2


@pytest.mark.parametrize(("parallel", "gpus", "processes"), [(True, 2, 2), (True, 0.5, 1), (True, 0, 1), (False, 1, 0)])
def test_a_trial_begins_in_its_share_with_a_process_for_each_gpu_if_they_can_train_together(
    tmp_path, ray_tune, monkeypatch, parallel, gpus, processes
):
    done = Mock()
    for name in ("remove_abandoned", "_keep_to_share"):
        monkeypatch.setattr(worker, name, getattr(done, name))
    ray_tune.given["GPU"] = gpus
    run_trial(work(tmp_path, train=Reader(lambda settings, report, processes: done.train(processes), parallel)))
    assert done.mock_calls == [call.remove_abandoned(), call._keep_to_share(1, gpus), call.train(processes)]


@pytest.mark.parametrize("ends_by", [None, LookupError("diverged")])
@pytest.mark.usefixtures("ray_tune")
def test_a_process_keeps_nothing_of_a_trial_that_is_over(tmp_path, ends_by):
    """A worker trains hundreds of trials; ``tests/benchmarks/bench_memory.py`` measures what it holds then."""

    class Large:
        """A network, or a set of images."""

    kept: list[weakref.ref[Large]] = []

    def trains(settings: Any, report: Any, _: int) -> None:
        network = Large()
        kept.extend([weakref.ref(network), weakref.ref(settings)])
        report(Epoch(1, 2, {}), lambda folder: kept.append(weakref.ref(network)))
        if ends_by is not None:
            raise ends_by

    run_trial(work(tmp_path, 5, Reader(trains)), settings=Large())
    if ends_by is not None:
        ends_by.__traceback__ = None  # this test keeps the exception
    gc.collect()
    assert [each() for each in kept] == [None, None]


@pytest.mark.parametrize(
    ("before", "first", "changed"),
    [
        ({}, 2, {}),  # a checkpoint that does not say
        ({**CODE, "hardware": "B"}, 2, {}),
        ({"commit": "ffff", "cuda": "13"}, 2, {"commit": "ffff and then 0123abcd", "cuda": "13"}),
        ({"hardware": "A"}, 2, {"hardware": "A and then B"}),
        ({"hardware": "A and then B"}, 2, {"hardware": "A and then B"}),
        ({"hardware": "B and then A"}, 2, {"hardware": "B and then A"}),
        ({"hardware": "A"}, 1, {}),  # it begins again
    ],
)
def test_the_words_of_a_run_tell_of_every_process_that_trained_it(tmp_path, ray_tune, before, first, changed):
    """Another commit or processor may have begun a run that the last one finished."""

    def trains(settings: Any, report: Any, _: int) -> None:
        for number in range(first, 4):
            report(Epoch(number, 3, {}, words={"hardware": "B"}), save)

    worker.write_epochs(tmp_path, [Epoch(1, 3, {}, words=before)])
    run_trial(work(tmp_path, train=Reader(trains)), resume_from=tmp_path)
    epochs = [report["epoch"] for report in ray_tune.reported]
    assert [epoch.number for epoch in epochs] == list(range(first, 4))
    assert all(epoch.words == {**CODE, "hardware": "B", **changed} for epoch in epochs)


@pytest.mark.usefixtures("ray_tune")
def test_a_process_seldom_looks_for_garbage_and_once_through_what_its_first_trial_has_imported(
    tmp_path, thresholds, monkeypatch
):
    monkeypatch.setattr(gc, "freeze", freeze := Mock())
    monkeypatch.setattr(worker, "_earlier_trials", itertools.count())
    found = []
    train = Reader(lambda *_: found.append((freeze.call_count, len(thresholds))))
    for _ in range(3):
        run_trial(work(tmp_path, train=train))
    assert found == [(0, 1), (1, 2), (1, 3)]  # before it imports anything
    assert thresholds == [worker.GARBAGE] * 3


def test_files_travel_to_the_worker_by_their_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("teacher.pt").write_bytes(b"a network")
    config = {"teacher": "teacher.pt", "extractor": None, "lr": 0.1}
    files = files_of(complete(Reader()), [config, {**config, "lr": 0.2}])
    assert files == {"teacher.pt": b"a network"}

    Path("teacher.pt").unlink()  # the worker is on another machine
    trial = Trial("key", "arm", {}, 0, config, config)
    with worker._settings(trial, work(tmp_path, **files)) as settings:
        there = Path(settings["teacher"])
        assert (there.name, there.read_bytes()) == ("teacher.pt", b"a network")
        assert (settings["extractor"], settings["lr"]) == (None, 0.1)
    assert not there.exists()
    twice = Trial("key", "arm", {}, 0, {**config, "extractor": "teacher.pt"}, config)
    with worker._settings(twice, work(tmp_path, **files)) as settings:
        assert Path(settings["extractor"]).read_bytes() == b"a network"


def test_a_file_that_changes_after_the_key_was_made_is_read_as_it_was(tmp_path):
    """A run would be recorded under a key that does not describe what it has read."""
    file = tmp_path / "teacher.pt"
    file.write_bytes(b"a network")
    train, config = complete(Reader()), {"teacher": str(file)}
    before = train.hashed(config)
    file.write_bytes(b"another")
    assert files_of(train, [config]) == {str(file): b"a network"}
    assert train.hashed(config) == before  # as for a trial that a search proposes later
    assert complete(Reader()).hashed(config) != before
    assert pickle.loads(cloudpickle.dumps(train))._read_files == {}
