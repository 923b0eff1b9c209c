"""What a trial's process writes and reads, tried without Ray."""

import errno
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mixlab import Epoch
from mixlab.cluster import worker
from mixlab.cluster.worker import Reporter, Work, files_of
from mixlab.errors import StorageFull
from mixlab.spec.study import Trial
from mixlab.spec.trainable import complete
from mixlab.storage.journal import Storage, read_epochs


class Reader:
    """A trainable that reads a file."""

    files = ("teacher", "extractor")
    metrics = ()

    def __call__(self) -> None:
        raise NotImplementedError


def work(folder: Path, minutes: float = 0.0, **files: bytes) -> Work:
    return Work(complete(Reader()), Storage(str(folder), "study"), 1, folder, "", minutes, files)


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """Return the epochs that are handed to Ray Tune, each with the names of its checkpoint's files."""
    found: list[tuple[int, list[str]]] = []

    def report(metrics: dict[str, Any], checkpoint: Path | None = None) -> None:
        names = sorted(path.name for path in checkpoint.iterdir()) if checkpoint else []
        if checkpoint:
            assert [epoch.number for epoch in read_epochs(checkpoint)][-1] == metrics["epoch"].number
        found.append((metrics["epoch"].number, names))

    checkpoint = SimpleNamespace(from_directory=Path)
    monkeypatch.setattr(worker, "tune", SimpleNamespace(report=report, Checkpoint=checkpoint))
    return found


def save(folder: Path) -> None:
    for name in ("training.pt", "model.pt", "model_mix_block.pt", "predictions.npz"):
        (folder / name).write_text(name)
    (folder / "optimiser").mkdir()


def test_a_finished_run_leaves_its_results_alone(reports: list[tuple[int, list[str]]], tmp_path: Path) -> None:
    reporter = Reporter([], work(tmp_path))
    for number in (1, 2):
        reporter(Epoch(number, 2, {}), save)
    results = ["journal.json", "model.pt", "model_mix_block.pt", "predictions.npz"]
    assert reports == [(1, sorted([*results, "optimiser", "training.pt"])), (2, results)]


@pytest.mark.parametrize(
    ("minutes", "saved"), [(0, [1, 2, 3, 4, 5, 6, 7]), (1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6, 7]), (100, [7])]
)
def test_checkpoints_come_after_the_minutes_and_at_the_end(
    reports: list[tuple[int, list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    minutes: float,
    saved: list[int],
) -> None:
    now = 0.0
    monkeypatch.setattr(worker.time, "monotonic", lambda: now)
    reporter = Reporter([], work(tmp_path, minutes))
    for number in range(1, 8):
        now += 60.0  # an epoch takes a minute
        reporter(Epoch(number, 7, {}), save)
    assert [number for number, _ in reports] == [1, 2, 3, 4, 5, 6, 7]
    assert [number for number, files in reports if files] == saved


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_storage_is_no_fault_of_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def report(metrics: Any, checkpoint: Any) -> None:
        raise OSError(number, "it is full")

    fake = SimpleNamespace(report=report, Checkpoint=SimpleNamespace(from_directory=Path))
    monkeypatch.setattr(worker, "tune", fake)
    with pytest.raises(StorageFull, match="it is full"):
        Reporter([], work(tmp_path))(Epoch(1, 2, {}), save)


def test_files_travel_to_the_worker_by_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_trial_that_was_lost_after_its_last_epoch_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "journal.json").write_text('{"epochs": [], "files": {}}')
    worker.write_epochs(tmp_path, [Epoch(1, 1, {})])
    give(monkeypatch, CPU=1)
    trial = Trial("key", "arm", {}, 0, {}, {})
    worker.work({"trial": trial, "resume_from": str(tmp_path)}, work=work(tmp_path))  # the trainable would raise


@pytest.mark.parametrize(("parallel", "gpus", "processes"), [(True, 2, 2), (True, 0.5, 1), (True, 0, 1), (False, 1, 0)])
def test_a_trial_has_a_process_for_each_gpu_if_they_can_train_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallel: bool, gpus: float, processes: int
) -> None:
    given: list[int] = []

    class Together(Reader):
        def __call__(self, settings: Any, seed: int, report: Any, processes: int = 0, **where: Any) -> None:
            given.append(processes)

    Together.parallel = parallel  # type: ignore[attr-defined]
    give(monkeypatch, CPU=1, GPU=gpus)
    common = replace(work(tmp_path), train=complete(Together()))
    worker.work({"trial": Trial("key", "arm", {}, 0, {}, {}), "resume_from": None}, work=common)
    assert given == [processes]


def give(monkeypatch: pytest.MonkeyPatch, **resources: float) -> None:
    """Let Ray Tune say that a trial was given these resources, and that it has no checkpoint."""
    found = SimpleNamespace(required_resources=resources)
    context = SimpleNamespace(get_trial_resources=lambda: found)
    fake = SimpleNamespace(get_context=lambda: context, get_checkpoint=lambda: None)
    monkeypatch.setattr(worker, "tune", fake)
