"""What a trial hands to the driver, tried without Ray: its epochs, the checkpoints with them, and why it failed."""

import errno
import pickle
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from ray import cloudpickle
from ray.exceptions import RayTaskError

from mixlab import Epoch, Metric
from mixlab.cluster import worker
from mixlab.cluster.tune_private import failure_of
from mixlab.cluster.worker import Reporter
from mixlab.errors import Crash, StorageLost, last_line
from mixlab.spec.epoch import Refused
from mixlab.spec.study import Trial
from mixlab.storage import journal
from mixlab.storage.journal import Storage
from tests.mixlab.cluster.reader import Reader, run_trial, save, work

pytestmark = pytest.mark.usefixtures("ray_tune")


def test_a_finished_run_leaves_its_results_alone(ray_tune, tmp_path):
    reporter = Reporter([], work(tmp_path))
    for number in (1, 2):
        reporter(Epoch(number, 2, {}), save)
    results = ["journal.json", "model.pt", "model_mix_block.pt", "predictions.npz"]
    assert ray_tune.saved == [sorted([*results, "optimiser", "training.pt"]), results]


@pytest.mark.parametrize(("minutes", "saved"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6, 7]), (100, [7])])
def test_checkpoints_come_after_the_minutes_and_at_the_end(ray_tune, tmp_path, monkeypatch, minutes, saved):
    now = 0.0
    monkeypatch.setattr(worker.time, "monotonic", lambda: now)
    reporter = Reporter([], work(tmp_path, minutes))
    for number in range(1, 8):
        now += 60.0  # an epoch takes a minute
        reporter(Epoch(number, 7, {}), save)
    assert [report["epoch"].number for report in ray_tune.reported] == [1, 2, 3, 4, 5, 6, 7]
    assert [number for number, files in enumerate(ray_tune.saved, 1) if files] == saved


def test_an_epoch_that_a_new_attempt_reports_takes_the_place_of_the_first(tmp_path):
    measured: Any = Reader()
    measured.metrics = (Metric("rmse", higher_is_better=False, rules=("best", "median10")),)
    of_an_earlier_attempt = [Epoch(1, 3, {"rmse": 9.0}), Epoch(2, 3, {"rmse": 0.1})]
    reporter = Reporter(of_an_earlier_attempt, work(tmp_path, train=measured))
    for number, rmse in ((1, 4.0), (2, 2.0), (3, 3.0)):
        reporter(Epoch(number, 3, {"rmse": rmse}), save)
    assert [epoch.number for epoch in reporter.epochs] == [1, 2, 3]
    summarised = {"rmse": 3.0, "rmse_best": 2.0, "rmse_median10": 3.0}
    assert [epoch.metrics for epoch in reporter.epochs] == [{"rmse": 4.0}, {"rmse": 2.0}, summarised]


def test_an_epoch_also_has_what_the_machine_did(tmp_path):
    reporter = Reporter([], work(tmp_path), Mock(taken=lambda: {"system/cpu": 50.0}))
    reporter(Epoch(1, 2, {"rmse": 1.0}), save)
    assert reporter.epochs[0].metrics == {"rmse": 1.0, "system/cpu": 50.0}


def test_an_epoch_is_reported_once_and_in_order(tmp_path):
    """MLflow would keep the first report and the journal the second: the table would not show what was trained."""
    reporter = Reporter([Epoch(1, 2, {}), Epoch(2, 2, {})], work(tmp_path))
    for number in (1, 2):
        reporter(Epoch(number, 2, {"rmse": 1.0}), save)
    for number in (1, 2):
        with pytest.raises(Refused, match=rf"^epoch {number} was reported after epoch 2: each is reported once, in"):
            reporter(Epoch(number, 2, {"rmse": 1e9}), save)
    assert [epoch.metrics["rmse"] for epoch in reporter.epochs] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        *(
            (each, "an epoch is reported with a function that saves the run to a")
            for each in ((), (None,), ({"w": 1},))
        ),
        # The journal took its place, and no checkpoint of such a trial was ever taken for whole.
        ([lambda folder: (folder / "journal.json").touch()], r"every checkpoint has a journal\.json of Mixlab's own: "),
    ],
)
def test_a_report_without_what_saves_it_or_with_a_journal_of_its_own_is_refused(tmp_path, given, sentence):
    with pytest.raises(Refused, match=f"^{sentence}"):
        Reporter([], work(tmp_path))(Epoch(1, 2, {}), *given)


@pytest.mark.parametrize(("uri", "away", "attempts"), [("file://", 100.0, 3), ("file://", 0.0, 1), ("", 100.0, 1)])
def test_a_server_that_is_away_is_waited_for_and_a_folder_is_not(ray_tune, tmp_path, monkeypatch, uri, away, attempts):
    """Otherwise every trial that reports while a bucket's server restarts would fail."""
    gone = "AWS Error NETWORK_CONNECTION during PutObject operation"
    ray_tune.report = Mock(side_effect=[OSError(gone), PermissionError(13, "denied"), None])
    monkeypatch.setattr(journal, "AWAY_SECONDS", away)
    monkeypatch.setattr(journal, "PAUSE_SECONDS", 0.01)
    own = replace(work(tmp_path), storage=Storage(f"{uri}{tmp_path}", "study"))
    lost = rf"^--storage '{uri}{tmp_path}' cannot be used \({gone}\)$"
    with pytest.raises(StorageLost, match=lost) if attempts == 1 else nullcontext():
        Reporter([], own)(Epoch(1, 2, {}), save)
    assert ray_tune.report.call_count == attempts


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_storage_is_no_fault_of_the_trial(ray_tune, tmp_path, number):
    ray_tune.report = Mock(side_effect=OSError(number, "it is full"))
    with pytest.raises(StorageLost, match=rf"^there is no room left in --storage '{tmp_path}' \(.*it is full\): free"):
        Reporter([], work(tmp_path))(Epoch(1, 2, {}), save)


@pytest.mark.parametrize(("free", "expected"), [(1000, StorageLost), (10**9, RuntimeError)])
def test_a_full_disk_of_temporary_files_is_named_though_torch_says_nothing_of_it(tmp_path, monkeypatch, free, expected):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    named = "there is no room left in the temporary folder '.*" if expected is StorageLost else ""
    with pytest.raises(expected, match=f"^{named}unexpected pos 576"):
        Reporter([], work(tmp_path))(Epoch(1, 2, {}), Mock(side_effect=RuntimeError("unexpected pos 576 vs 534")))


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
        (Needy("a lock", open), f"{__name__}.Needy: a lock"),
        (ExceptionGroup("two", [ValueError("one"), OSError("other")]), "ExceptionGroup: two (2 sub-exceptions)"),
        (RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"), "CUDA error: out of memory"),
        (RuntimeError("cannot read a\udcff\0.png"), "RuntimeError: cannot read a\\udcff\\0.png"),
        (RuntimeError("\x1b[2Jcleared"), "RuntimeError: \\x1b[2Jcleared"),
    ],
)
def test_whatever_a_trainable_raises_is_carried_to_the_driver_by_name_and_reason(tmp_path, error, line):
    with pytest.raises(Crash) as caught:
        run_trial(work(tmp_path, train=Reader(Mock(side_effect=error))))
    remote = RayTaskError("work", "Ray's own lines", pickle.loads(pickle.dumps(caught.value)))
    (tmp_path / "error.pkl").write_bytes(cloudpickle.dumps(remote.as_instanceof_cause()))
    failure = failure_of(SimpleNamespace(pickled_error_file=tmp_path / "error.pkl"))
    assert failure.raised
    assert failure.text.encode() == str(caught.value).encode()
    assert line in last_line(failure.text)


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
    """It is not the bucket that is full."""
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
