"""What a trial reports, and the checkpoints that go with it, tried without Ray."""

import errno
import shutil
from contextlib import nullcontext
from dataclasses import replace
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
from mixlab.storage.journal import Storage
from tests.mixlab.cluster.reader import Reader, save, work

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
    """Whatever was to be written while a bucket's server started again failed, and with it all trials of the hour."""
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
