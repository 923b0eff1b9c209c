"""A trial's process writes and reads its checkpoints, tried without Ray."""

import errno
import gc
import pickle
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle
from ray.exceptions import RayTaskError

from mixlab import Epoch, Metric
from mixlab.cluster import worker
from mixlab.cluster.ray_private import failure_of
from mixlab.cluster.worker import Reporter, Work, files_of
from mixlab.errors import Crash, StorageFull, last_line
from mixlab.spec.complete import complete
from mixlab.spec.epoch import Refused
from mixlab.spec.study import Trial
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


@pytest.mark.usefixtures("reports")
def test_an_epoch_that_a_new_attempt_reports_takes_the_place_of_the_first(tmp_path: Path) -> None:
    class Measured(Reader):
        metrics = (Metric("rmse", higher_is_better=False, rules=("best", "median10")),)  # type: ignore[assignment]

    of_an_earlier_attempt = [Epoch(1, 3, {"rmse": 9.0}), Epoch(2, 3, {"rmse": 0.1})]
    reporter = Reporter(of_an_earlier_attempt, replace(work(tmp_path), train=complete(Measured())))
    for number, rmse in ((1, 4.0), (2, 2.0), (3, 3.0)):
        reporter(Epoch(number, 3, {"rmse": rmse}), save)
    assert [(epoch.number, epoch.metrics["rmse"]) for epoch in reporter.epochs] == [(1, 4.0), (2, 2.0), (3, 3.0)]
    assert reporter.epochs[-1].metrics == {"rmse": 3.0, "rmse_best": 2.0, "rmse_median10": 3.0}


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("number", [1, 2])
def test_an_epoch_is_reported_once_and_in_order(tmp_path: Path, number: int) -> None:
    """MLflow would keep the first report and the journal the second: the table would not show what was trained."""
    reporter = Reporter([Epoch(1, 2, {}), Epoch(2, 2, {})], work(tmp_path))
    reporter(Epoch(1, 2, {"rmse": 1.0}), save)
    reporter(Epoch(2, 2, {"rmse": 1.0}), save)
    with pytest.raises(Refused, match=rf"^epoch {number} was reported after epoch 2: each is reported once, in order"):
        reporter(Epoch(number, 2, {"rmse": 1e9}), save)
    assert [epoch.metrics["rmse"] for epoch in reporter.epochs] == [1.0, 1.0]


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("given", [(), (None,), ({"weights": 1},)])
def test_a_report_without_what_saves_it_is_refused(tmp_path: Path, given: tuple[Any, ...]) -> None:
    with pytest.raises(Refused, match=r"^an epoch is reported with a function that saves the run to a folder, got"):
        Reporter([], work(tmp_path))(Epoch(1, 2, {}), *given)


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


def raised(error: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch) -> BaseException:
    """Return what leaves a trial whose trainable raises ``error``."""

    class Raising(Reader):
        final = (LookupError,)

        def __call__(self, *settings: Any, **where: Any) -> None:
            raise error

    give(monkeypatch, CPU=1)
    common = replace(work(folder), train=complete(Raising()))
    with pytest.raises(BaseException) as caught:
        worker.work({"trial": Trial("key", "arm", {}, 0, {}, {}), "resume_from": None}, work=common)
    return caught.value


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
        (SystemExit(0), "SystemExit: 0"),
        (SystemExit("enough"), "SystemExit: enough"),
        (SystemExit(), "SystemExit"),
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
def test_whatever_a_trainable_raises_is_carried_to_the_driver_by_name_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, line: str
) -> None:
    crash = raised(error, tmp_path, monkeypatch)
    assert isinstance(crash, Crash)
    remote = RayTaskError("work", "Ray's own lines", pickle.loads(pickle.dumps(crash)))
    (tmp_path / "error.pkl").write_bytes(cloudpickle.dumps(remote.as_instanceof_cause()))
    failure = failure_of(SimpleNamespace(pickled_error_file=tmp_path / "error.pkl"))
    assert failure.raised
    assert failure.text.encode() == str(crash).encode()
    assert line in last_line(failure.text)
    assert len(last_line(failure.text)) <= 500


@pytest.mark.parametrize(
    ("error", "answer"), [(LookupError("diverged"), True), (Refused("the metric 'loss' must be a real number"), False)]
)
def test_what_a_trainable_documents_is_an_answer_and_leaves_the_process_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, answer: bool
) -> None:
    class Refusing(Reader):
        final = (LookupError,)

        def __call__(self, *settings: Any, **where: Any) -> None:
            raise error

    reported: list[dict[str, Any]] = []
    give(monkeypatch, CPU=1)
    worker.tune.report = reported.append  # type: ignore[attr-defined]
    common = replace(work(tmp_path), train=complete(Refusing()))
    worker.work({"trial": Trial("key", "arm", {}, 0, {}, {}), "resume_from": None}, work=common)
    (found,) = reported
    assert found["answer"] is answer
    kind = "LookupError: " if answer else ""
    assert last_line(found["error"]) == f"{kind}{error}"  # a sentence of Mixlab's own needs no name before it


@pytest.mark.parametrize("ends_by", [None, LookupError("diverged")])
def test_a_process_keeps_nothing_of_a_trial_that_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_by: Exception | None
) -> None:
    """A worker trains hundreds of trials; ``tests/benchmarks/bench_memory.py`` measures what it holds then."""

    class Large:
        """A network, or a set of images."""

    kept: list[weakref.ref[Large]] = []

    class Training(Reader):
        final = (LookupError,)

        def __call__(self, settings: Any, seed: int, report: Any, **where: Any) -> None:
            network = Large()
            kept.extend([weakref.ref(network), weakref.ref(settings)])
            report(Epoch(1, 2, {}), lambda folder: kept.append(weakref.ref(network)))
            if ends_by is not None:
                raise ends_by

    give(monkeypatch, CPU=1)
    worker.tune.report = lambda *_, **__: None  # type: ignore[attr-defined]
    common = replace(work(tmp_path, minutes=5), train=complete(Training()))
    worker.work({"trial": Trial("key", "arm", {}, 0, {}, Large()), "resume_from": None}, work=common)
    if ends_by is not None:
        ends_by.__traceback__ = None  # this test keeps the exception
    gc.collect()
    assert [each() for each in kept] == [None, None]


def test_what_ray_tune_raises_to_stop_a_trial_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reporting(Reader):
        def __call__(self, settings: Any, seed: int, report: Any, **where: Any) -> None:
            report(Epoch(1, 2, {}), save)

    def stop(*_: object, **__: object) -> None:
        raise SystemExit(0)

    give(monkeypatch, CPU=1)
    worker.tune.report = stop  # type: ignore[attr-defined]
    common = replace(work(tmp_path, minutes=5), train=complete(Reporting()))
    with pytest.raises(SystemExit):
        worker.work({"trial": Trial("key", "arm", {}, 0, {}, {}), "resume_from": None}, work=common)


def give(monkeypatch: pytest.MonkeyPatch, **resources: float) -> None:
    """Let Ray Tune say that a trial was given these resources, and that it has no checkpoint."""
    found = SimpleNamespace(required_resources=resources)
    context = SimpleNamespace(get_trial_resources=lambda: found)
    fake = SimpleNamespace(get_context=lambda: context, get_checkpoint=lambda: None)
    monkeypatch.setattr(worker, "tune", fake)
