"""What a trial reports, and the checkpoints that go with it, tried without Ray."""

import errno
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from mixlab import Epoch, Metric
from mixlab.cluster import worker
from mixlab.cluster.worker import Reporter
from mixlab.errors import StorageLost
from mixlab.spec.epoch import Refused
from mixlab.storage import journal
from mixlab.storage.journal import Storage, read_epochs
from tests.mixlab.cluster.reader import Reader, save, work


@pytest.fixture
def reports(monkeypatch) -> list[tuple[int, list[str]]]:
    """Return the epochs that are handed to Ray Tune, each with the names of its checkpoint's files."""
    found: list[tuple[int, list[str]]] = []

    def report(metrics: dict[str, Any], checkpoint: Path | None = None) -> None:
        names = sorted(path.name for path in checkpoint.iterdir()) if checkpoint else []
        if checkpoint:
            assert [epoch.number for epoch in read_epochs(checkpoint)][-1] == metrics["epoch"].number
        found.append((metrics["epoch"].number, names))

    report_by(report, monkeypatch)
    return found


def report_by(report: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``report`` stand in for that of Ray Tune."""
    fake = SimpleNamespace(report=report, Checkpoint=SimpleNamespace(from_directory=Path))
    monkeypatch.setattr(worker, "tune", fake)


def test_a_finished_run_leaves_its_results_alone(reports, tmp_path):
    reporter = Reporter([], work(tmp_path))
    for number in (1, 2):
        reporter(Epoch(number, 2, {}), save)
    results = ["journal.json", "model.pt", "model_mix_block.pt", "predictions.npz"]
    assert reports == [(1, sorted([*results, "optimiser", "training.pt"])), (2, results)]


@pytest.mark.parametrize(("minutes", "saved"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6, 7]), (100, [7])])
def test_checkpoints_come_after_the_minutes_and_at_the_end(reports, tmp_path, monkeypatch, minutes, saved):
    now = 0.0
    monkeypatch.setattr(worker.time, "monotonic", lambda: now)
    reporter = Reporter([], work(tmp_path, minutes))
    for number in range(1, 8):
        now += 60.0  # an epoch takes a minute
        reporter(Epoch(number, 7, {}), save)
    assert [number for number, _ in reports] == [1, 2, 3, 4, 5, 6, 7]
    assert [number for number, files in reports if files] == saved


@pytest.mark.usefixtures("reports")
def test_an_epoch_that_a_new_attempt_reports_takes_the_place_of_the_first(tmp_path):
    measured: Any = Reader()
    measured.metrics = (Metric("rmse", higher_is_better=False, rules=("best", "median10")),)
    of_an_earlier_attempt = [Epoch(1, 3, {"rmse": 9.0}), Epoch(2, 3, {"rmse": 0.1})]
    reporter = Reporter(of_an_earlier_attempt, work(tmp_path, train=measured))
    for number, rmse in ((1, 4.0), (2, 2.0), (3, 3.0)):
        reporter(Epoch(number, 3, {"rmse": rmse}), save)
    assert [(epoch.number, epoch.metrics["rmse"]) for epoch in reporter.epochs] == [(1, 4.0), (2, 2.0), (3, 3.0)]
    assert reporter.epochs[0].metrics == {"rmse": 4.0}
    assert reporter.epochs[-1].metrics == {"rmse": 3.0, "rmse_best": 2.0, "rmse_median10": 3.0}


@pytest.mark.usefixtures("reports")
def test_an_epoch_also_has_what_the_machine_did(tmp_path):
    usage: Any = SimpleNamespace(taken=lambda: {"system/cpu": 50.0})
    reporter = Reporter([], work(tmp_path), usage)
    reporter(Epoch(1, 2, {"rmse": 1.0}), save)
    assert reporter.epochs[0].metrics == {"rmse": 1.0, "system/cpu": 50.0}


@pytest.mark.usefixtures("reports")
def test_an_epoch_is_reported_once_and_in_order(tmp_path):
    """MLflow would keep the first report and the journal the second: the table would not show what was trained."""
    reporter = Reporter([Epoch(1, 2, {}), Epoch(2, 2, {})], work(tmp_path))
    reporter(Epoch(1, 2, {"rmse": 1.0}), save)
    reporter(Epoch(2, 2, {"rmse": 1.0}), save)
    for number in (1, 2):
        with pytest.raises(Refused, match=rf"^epoch {number} was reported after epoch 2: each is reported once, in"):
            reporter(Epoch(number, 2, {"rmse": 1e9}), save)
    assert [epoch.metrics["rmse"] for epoch in reporter.epochs] == [1.0, 1.0]


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("given", [(), (None,), ({"weights": 1},)])
def test_a_report_without_what_saves_it_is_refused(tmp_path, given):
    with pytest.raises(Refused, match=r"^an epoch is reported with a function that saves the run to a folder, got"):
        Reporter([], work(tmp_path))(Epoch(1, 2, {}), *given)


@pytest.mark.usefixtures("reports")
def test_a_file_by_the_name_of_the_journal_is_refused(tmp_path):
    """The journal took its place, and no checkpoint of such a trial was ever taken for whole."""
    with pytest.raises(Refused, match=r"^every checkpoint has a journal\.json of Mixlab's own: save the trainable's"):
        Reporter([], work(tmp_path))(Epoch(1, 2, {}), lambda folder: (folder / "journal.json").touch())


@pytest.mark.parametrize(("uri", "away", "attempts"), [("file://", 100.0, 3), ("file://", 0.0, 1), ("", 100.0, 1)])
def test_a_server_that_is_away_is_waited_for_and_a_folder_is_not(tmp_path, monkeypatch, uri, away, attempts):
    """Whatever was to be written while a bucket's server started again failed, and with it all trials of the hour."""
    refusals = [OSError("AWS Error NETWORK_CONNECTION during PutObject operation"), PermissionError(13, "denied")]
    tried: list[int] = []

    def report(metrics: Any, checkpoint: Any) -> None:
        tried.append(metrics["epoch"].number)
        if len(tried) <= len(refusals):
            raise refusals[len(tried) - 1]

    report_by(report, monkeypatch)
    monkeypatch.setattr(journal, "AWAY_SECONDS", away)
    monkeypatch.setattr(journal, "PAUSE_SECONDS", 0.01)
    own = replace(work(tmp_path), storage=Storage(f"{uri}{tmp_path}", "study"))
    lost = rf"^--storage '{uri}{tmp_path}' cannot be used \(AWS Error NETWORK_CONNECTION during PutObject operation\)$"
    with pytest.raises(StorageLost, match=lost) if attempts == 1 else nullcontext():
        Reporter([], own)(Epoch(1, 2, {}), save)
    assert tried == [1] * attempts


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_storage_is_no_fault_of_the_trial(tmp_path, monkeypatch, number):
    report_by(Mock(side_effect=OSError(number, "it is full")), monkeypatch)
    with pytest.raises(StorageLost, match=rf"^there is no room left in --storage '{tmp_path}' \(.*it is full\): free"):
        Reporter([], work(tmp_path))(Epoch(1, 2, {}), save)


@pytest.mark.parametrize(("free", "expected"), [(1000, StorageLost), (10**9, RuntimeError)])
def test_a_full_disk_of_temporary_files_is_named_though_torch_says_nothing_of_it(tmp_path, monkeypatch, free, expected):
    torch_save = Mock(side_effect=RuntimeError("unexpected pos 576 vs 534"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    with pytest.raises(expected, match=r"unexpected pos 576") as caught:
        Reporter([], work(tmp_path))(Epoch(1, 2, {}), torch_save)
    assert str(caught.value).startswith("there is no room left in the temporary folder '") == (expected is StorageLost)
