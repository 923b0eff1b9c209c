"""What a trial's process hands to the driver when the trial fails."""

import pickle
from pathlib import Path
from tempfile import gettempdir
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from ray import cloudpickle
from ray.exceptions import RayTaskError

from mixlab import Epoch
from mixlab.cluster import worker
from mixlab.cluster.tune_private import failure_of
from mixlab.errors import Crash, StorageLost, last_line
from mixlab.spec.epoch import Refused
from mixlab.spec.study import Trial
from mixlab.storage.journal import Storage
from tests.mixlab.cluster.reader import Reader, run_trial, save, work


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
        (StopIteration(3), "StopIteration: 3"),
        (MemoryError(), "MemoryError"),
        (Needy("a lock", open), "tests.mixlab.cluster.test_trial_errors.Needy: a lock"),
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


def test_what_ray_tune_raises_to_stop_a_trial_passes(tmp_path, ray_tune):
    ray_tune.report = Mock(side_effect=SystemExit(0))
    with pytest.raises(SystemExit):
        run_trial(work(tmp_path, 5, Reader(lambda settings, report, _: report(Epoch(1, 2, {}), save))))
