"""A trial's process, tried without Ray."""

import gc
import itertools
import os
import pickle
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from ray import cloudpickle
from ray.exceptions import RayTaskError

from mixlab import Epoch
from mixlab.cluster import worker
from mixlab.cluster.tune_private import failure_of
from mixlab.cluster.worker import Work, files_of
from mixlab.errors import BadInput, Crash, StorageLost, last_line
from mixlab.spec.complete import complete
from mixlab.spec.epoch import Refused
from mixlab.spec.study import Trial
from mixlab.storage.journal import Storage

CODE = {"commit": "0123abcd"}


@pytest.fixture(autouse=True)
def thresholds(monkeypatch) -> list[int]:
    """Return the thresholds that a trial sets for Python's garbage, and keep this process's own."""
    found: list[int] = []
    monkeypatch.setattr(gc, "set_threshold", found.append)
    return found


class Reader:
    """A trainable that reads a file; as it trains, it does what it is given to do."""

    files = ("teacher", "extractor")
    metrics = ()
    final = (LookupError,)

    def __init__(self, trains: Callable[..., None] | None = None, parallel: bool = False) -> None:
        self.trains = trains
        self.parallel = parallel

    def __call__(self, settings: Any, seed: int, report: Any, processes: int = 0, **where: Any) -> None:
        if self.trains is None:
            raise NotImplementedError
        self.trains(settings, report, processes)


def work(folder: Path, minutes: float = 0.0, train: Reader | None = None, **files: bytes) -> Work:
    return Work(complete(train or Reader()), Storage(str(folder), "study"), 1, folder, "", minutes, files, CODE)


@pytest.fixture
def ray_tune(monkeypatch) -> Any:
    """Return what stands in for Ray Tune: it gives one processor and no checkpoint, and notes what is reported."""
    resources = SimpleNamespace(required_resources={"CPU": 1})
    context = SimpleNamespace(get_trial_resources=lambda: resources)
    reported: list[dict[str, Any]] = []
    fake = SimpleNamespace(
        given=resources.required_resources,
        reported=reported,
        get_context=lambda: context,
        get_checkpoint=lambda: None,
        report=lambda report, **_: reported.append(report),
        Checkpoint=SimpleNamespace(from_directory=str),
    )
    monkeypatch.setattr(worker, "tune", fake)
    return fake


def run_trial(work: Work, resume_from: Path | None = None, settings: Any = None) -> None:
    trial = Trial("key", "arm", {}, 0, {}, {} if settings is None else settings)
    worker.work({"trial": trial, "resume_from": resume_from and str(resume_from)}, work=work)


def save(folder: Path) -> None:
    for name in ("training.pt", "model.pt", "model_mix_block.pt", "predictions.npz"):
        (folder / name).write_text(name)
    (folder / "optimiser").mkdir()


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
        assert there.read_bytes() == b"a network"
        assert there.name == "teacher.pt"
        assert (settings["extractor"], settings["lr"]) == (None, 0.1)
    assert not there.exists()


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


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path, monkeypatch):
    file = tmp_path / "teacher.pt"
    file.write_bytes(b"a network")
    monkeypatch.setattr(Path, "read_bytes", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(BadInput, match=rf"^teacher '{file}' cannot be read \(.*Permission denied\): give a file"):
        complete(Reader()).hashed({"teacher": str(file)})


@pytest.mark.parametrize("error", [None, LookupError("diverged")])
@pytest.mark.usefixtures("ray_tune")
def test_a_trial_leaves_the_process_in_the_folder_in_which_it_began(tmp_path, error):
    """In a folder that was gone, the next trial of the process died before it began, and was not tried again."""

    def trains(*_: object) -> None:
        with TemporaryDirectory() as folder:
            os.chdir(folder)
        if error is not None:
            raise error

    before = Path.cwd()
    try:
        run_trial(work(tmp_path, train=Reader(trains)))
        assert Path.cwd() == before
    finally:
        os.chdir(before)


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


def test_a_process_keeps_to_its_threads_and_its_share_of_a_gpu(monkeypatch):
    threads: list[int] = []
    shares: list[float] = []
    cuda = {
        "is_available": lambda: True,
        "empty_cache": lambda: None,
        "mem_get_info": lambda: (1, 2**36),
        "set_per_process_memory_fraction": shares.append,
    }
    for name, stands_in in cuda.items():
        monkeypatch.setattr(torch.cuda, name, stands_in)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(os, "environ", {"HOME": "/"})
    worker._keep_to_share(3, 0.5)
    assert (threads, shares) == ([3], [worker.share_of_tensors(0.5, 2**36)])
    monkeypatch.delitem(sys.modules, "torch")
    worker._keep_to_share(2, 0)  # torch, if it comes, will read this
    limits = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "MKL_DYNAMIC": "FALSE"}
    assert (threads, os.environ) == ([3], {"HOME": "/", **limits})


@pytest.mark.parametrize(("parallel", "gpus", "processes"), [(True, 2, 2), (True, 0.5, 1), (True, 0, 1), (False, 1, 0)])
def test_a_trial_has_a_process_for_each_gpu_if_they_can_train_together(tmp_path, ray_tune, parallel, gpus, processes):
    given: list[int] = []
    ray_tune.given["GPU"] = gpus
    run_trial(work(tmp_path, train=Reader(lambda settings, report, processes: given.append(processes), parallel)))
    assert given == [processes]


class Silent(Exception):
    """An exception without a text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Needy(Exception):
    """An exception that cannot be copied."""

    def __init__(self, first: str, second: object) -> None:
        super().__init__(first)
        self.second = second


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SystemExit("enough"), "SystemExit: enough"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (StopIteration(3), "StopIteration: 3"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (MemoryError(), "MemoryError"),
        (Silent(), "tests.mixlab.cluster.test_worker.Silent"),
        (Needy("a lock", open), "tests.mixlab.cluster.test_worker.Needy: a lock"),
        (ExceptionGroup("two", [ValueError("one"), OSError("other")]), "ExceptionGroup: two (2 sub-exceptions)"),
        (RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"), "CUDA error: out of memory"),
        (RuntimeError("\n\n  indented\nmore"), "RuntimeError: indented"),
        (RuntimeError("cannot read a\udcff\0.png"), "RuntimeError: cannot read a\\udcff\\0.png"),
        (RuntimeError("\x1b[2Jcleared"), "RuntimeError: \\x1b[2Jcleared"),
        (RuntimeError("x" * 100_000), "RuntimeError: xxx"),
        (OSError(28, "No space left on device", "/scratch/a"), "[Errno 28] No space left on device: '/scratch/a'"),
    ],
)
@pytest.mark.usefixtures("ray_tune")
def test_whatever_a_trainable_raises_is_carried_to_the_driver_by_name_and_reason(tmp_path, error, line):
    with pytest.raises(Crash) as caught:
        run_trial(work(tmp_path, train=Reader(Mock(side_effect=error))))
    remote = RayTaskError("work", "Ray's own lines", pickle.loads(pickle.dumps(caught.value)))
    (tmp_path / "error.pkl").write_bytes(cloudpickle.dumps(remote.as_instanceof_cause()))
    failure = failure_of(SimpleNamespace(pickled_error_file=tmp_path / "error.pkl"))
    assert failure.raised
    assert failure.text.encode() == str(caught.value).encode()
    assert line in last_line(failure.text)
    assert len(last_line(failure.text)) <= 500


@pytest.mark.parametrize(
    ("error", "answer"), [(LookupError("diverged"), True), (Refused("the metric 'loss' must be a real number"), False)]
)
def test_what_a_trainable_documents_is_an_answer_and_leaves_the_process_as_it_is(tmp_path, ray_tune, error, answer):
    run_trial(work(tmp_path, train=Reader(Mock(side_effect=error))))
    (found,) = ray_tune.reported
    assert found["answer"] is answer
    kind = "LookupError: " if answer else ""
    assert last_line(found["error"]) == f"{kind}{error}"  # a sentence of Mixlab's own needs no name before it


@pytest.mark.parametrize("again", [False, True])
def test_a_lost_storage_is_reported_and_leaves_the_process_as_it_is(tmp_path, ray_tune, monkeypatch, again):
    away = Mock(side_effect=StorageLost("it cannot be used"))
    monkeypatch.setattr(Storage, "open" if again else "patiently", away)
    trains = Reader(lambda settings, report, _: report(Epoch(1, 2, {}), save))
    run_trial(work(tmp_path, train=trains), resume_from=tmp_path if again else None)
    assert ray_tune.reported == [{"lost": "it cannot be used"}]


@pytest.mark.parametrize("where", ["the checkpoint of a bucket", "a file that the trial reads"])
def test_a_full_disk_of_temporary_files_is_named_before_the_training_too(tmp_path, ray_tune, monkeypatch, where):
    """The bucket was said to be full, and each trial that reads a file failed."""
    bucket, full = where == "the checkpoint of a bucket", Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(*(Storage, "open", full) if bucket else (Path, "write_bytes", full))
    own = work(tmp_path, train=Reader(), **{"teacher.pt": b"a network"})
    trial = Trial("key", "arm", {}, 0, {"teacher": "teacher.pt"})
    worker.work({"trial": trial, "resume_from": str(tmp_path) if bucket else None}, work=own)
    (found,) = ray_tune.reported
    assert found["lost"].startswith(f"there is no room left in the temporary folder '{gettempdir()}' of ")
    assert found["lost"].endswith(" ([Errno 28] No space left on device): free some")


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
    """A run that another commit or processor had begun was recorded as if the last one had trained all of it."""

    def trains(settings: Any, report: Any, _: int) -> None:
        for number in range(first, 4):
            report(Epoch(number, 3, {}, words={"hardware": "B"}), save)

    worker.write_epochs(tmp_path, [Epoch(1, 3, {}, words=before)])
    run_trial(work(tmp_path, train=Reader(trains)), resume_from=tmp_path)
    epochs = [report["epoch"] for report in ray_tune.reported]
    assert [epoch.number for epoch in epochs] == list(range(first, 4))
    assert all(epoch.words == {**CODE, "hardware": "B", **changed} for epoch in epochs)


def test_a_process_looks_once_through_what_its_first_trial_has_imported(monkeypatch):
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    monkeypatch.setattr(worker, "_earlier_trials", itertools.count())
    after_each = []
    for _ in range(3):
        worker._give_back_memory()
        after_each.append(len(frozen))
    assert after_each == [0, 1, 1]


def test_what_ray_tune_raises_to_stop_a_trial_passes(tmp_path, ray_tune):
    ray_tune.report = Mock(side_effect=SystemExit(0))
    with pytest.raises(SystemExit):
        run_trial(work(tmp_path, 5, Reader(lambda settings, report, _: report(Epoch(1, 2, {}), save))))


@pytest.mark.usefixtures("ray_tune")
def test_a_process_seldom_looks_for_garbage(tmp_path, thresholds):
    found: list[int] = []
    run_trial(work(tmp_path, train=Reader(lambda *_: found.extend(thresholds))))
    assert found == [worker.GARBAGE]  # before it imports anything
