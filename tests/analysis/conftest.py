"""Studies written to a real MLflow store by the platform's own tracker."""

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mlflow.tracking import MlflowClient

from mixlab.provenance import Provenance
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial, cell_name
from mixlab.tracking import names
from mixlab.tracking.tracker import Tracker
from mixlab.tracking.trial_runs import Tracked
from tests.analysis.planned import make_plan
from trainables.config import parse
from trainables.cost import noise_splits
from trainables.methods import build_network

PROVENANCE = Provenance(commit="0123456789abcdef", dirty=False, diff="", versions={})


class TrackedStudy:
    """Writes one study as a driver does, by the platform's own tracker; every call waits until all is written.

    ``run_ids`` holds the run of each arm and seed, ``plan`` the plan that was added last.
    """

    def __init__(self, folder: Path, study: str = "ablation_tiny") -> None:
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.study = study
        self.client = MlflowClient(tracking_uri=self.uri)
        self.plan: dict[str, Any] = {}
        self.run_ids: dict[tuple[str, int], str] = {}
        self.tracker = self._tracker({}, "")
        self.experiment = self.tracker.experiment_id

    def _tracker(self, plan: Mapping[str, Any], plan_hash: str) -> Tracker:
        cells = {cell_name(trial["levels"].values(), trial["arm"]): trial["arm"] for trial in plan.get("trials", ())}
        tracked = Tracked(self.study, plan_hash, plan, names.STUDY_LEVELS, cells)
        return Tracker(self.client, tracked, PROVENANCE)

    def add_plan(self, plan: dict[str, Any], plan_hash: str = "a1b2c3d4") -> str:
        self.plan, self.tracker = plan, self._tracker(plan, plan_hash)
        self.tracker.open()
        self.tracker.close(State.DONE, dict.fromkeys(self.tracker.arm_runs, State.DONE))
        self._written()
        return self.tracker.study_run

    def add_run(
        self,
        trial: dict[str, Any],
        value: float | None,
        *,
        status: str | None = "FINISHED",
        epochs: int = 20,
        tags: Mapping[str, str] | None = None,
        curve: tuple[float, ...] = (),
        config: Mapping[str, Any] | None = None,
        wait: bool = True,
    ) -> str:
        known = {"dataset": "cifar10", "backbone": "resnet20", "epochs": epochs, **trial["levels"], **(config or {})}
        made = Trial(trial["key"], trial["arm"], trial["levels"], trial["seed"], known)
        points: dict[int, dict[str, float]] = {number: {"test_top1": point} for number, point in enumerate(curve, 1)}
        if value is not None:
            rules = {"median10": value, "last": value - 0.5, "best": value + 0.5}
            last = points.setdefault(max(points, default=epochs), {})
            last.update({f"test_top1_{rule}": number for rule, number in rules.items()})
        words = {"data": "feedc0de", "hardware": "a CPU", "python": "3.11"}
        self.tracker.trials.start(made)
        self.tracker.trials.epochs(made, [Epoch(number, epochs, metrics, words) for number, metrics in points.items()])
        if status == "KILLED":
            self.tracker.trials.end(made, State.INTERRUPTED)
        elif status is not None:
            self.tracker.trials.end(made, State.DONE if status == "FINISHED" else State.FAILED)
        if not wait:
            return ""
        self._written()
        run_id = self.run_ids[trial["arm"], trial["seed"]] = self.tracker.trials.run_ids[made.key]
        for name, text in (tags or {}).items():
            self.client.set_tag(run_id, name, text)
        return run_id

    def _written(self) -> None:
        assert self.tracker.writer.drain(60)
        assert not self.tracker.writer.refused

    def add_all(
        self,
        plan: dict[str, Any],
        value: Callable[[dict[str, Any]], float],
        config: Callable[[dict[str, Any]], Mapping[str, Any]] = lambda trial: {},
        plan_hash: str = "a1b2c3d4",
        **run: Any,
    ) -> None:
        """Add a plan and a finished run of each of its trials, with the value and the configuration of a trial."""
        self.add_plan(plan, plan_hash)
        for trial in plan["trials"]:
            self.add_run(trial, value(trial), config=config(trial), wait=False, **run)
        self._written()
        for trial in plan["trials"]:
            self.run_ids[trial["arm"], trial["seed"]] = self.tracker.trials.run_ids[trial["key"]]

    def add_file(self, file: Path) -> None:
        """Add a file to every run."""
        for run_id in self.run_ids.values():
            self.client.log_artifact(run_id, str(file))

    def call(self, command: ModuleType, *options: str) -> int:
        """Call a command of the analysis on this study, and return its exit code."""
        return command.main([self.study, "--tracking-uri", self.uri, *options])


@pytest.fixture(scope="session")
def track_in(empty_store) -> Callable[..., TrackedStudy]:
    """Return a function that starts a study in the store of a folder."""

    def start(folder: Path, study: str = "ablation_tiny") -> TrackedStudy:
        if not (folder / "mlflow.db").exists():
            shutil.copy(empty_store, folder / "mlflow.db")
        return TrackedStudy(folder, study)

    return start


@pytest.fixture
def track(track_in, tmp_path) -> Callable[..., TrackedStudy]:
    """Return a function that starts a study in this test's own store."""
    return partial(track_in, tmp_path)


def write_untrained(study: TrackedStudy, folder: Path, config: Mapping[str, Any]) -> TrackedStudy:
    """Write two arms and two seeds with untrained networks as checkpoints, and return the study.

    The seed of a network is that of its run, and 10 more in the second arm.
    """
    study.add_all(make_plan(arms=("baseline", "+ lam"), seeds=2), lambda trial: 40.0, lambda trial: config, epochs=1)
    for (arm, seed), run_id in study.run_ids.items():
        parsed = parse(config)
        network = build_network(parsed, seed=10 * (arm == "+ lam") + seed)
        torch.save(network.backbone.state_dict(), folder / "model.pt")
        study.client.log_artifact(run_id, str(folder / "model.pt"))
    return study


@pytest.fixture
def out(tmp_path) -> Path:
    """Return the folder for the files of a command, which makes it."""
    return tmp_path / "out"


@pytest.fixture(scope="session")
def untrained(track_in, tmp_path_factory) -> Callable[[Mapping[str, Any]], TrackedStudy]:
    """Return a function that returns the study of ``write_untrained`` of a configuration, which no test changes."""
    written: dict[str, TrackedStudy] = {}

    def study(config: Mapping[str, Any]) -> TrackedStudy:
        if str(config) not in written:
            folder = tmp_path_factory.mktemp("untrained")
            written[str(config)] = write_untrained(track_in(folder), folder, config)
        return written[str(config)]

    return study


@pytest.fixture
def noise(monkeypatch) -> None:
    """Let evaluations find 40 images of noise, four of each class, as CIFAR-10's."""
    monkeypatch.setattr("analysis.networks.evaluate.images_of", lambda config, root: noise_splits(config, 40))


RESNET8 = {"dataset": "cifar10", "backbone": "resnet8", "epochs": 1, "mixer": "cutmix"}


@pytest.fixture
def trained(untrained, noise) -> TrackedStudy:
    """Return the study of ``write_untrained`` on CIFAR-10, which no test changes, with images to test it on."""
    return untrained(RESNET8)


@pytest.fixture
def own_trained(track, tmp_path, noise) -> TrackedStudy:
    """Return what ``trained`` returns, in this test's own store, for a test that changes it."""
    return write_untrained(track(), tmp_path, RESNET8)
