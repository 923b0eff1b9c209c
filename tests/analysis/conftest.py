"""Studies written to a real MLflow store, in the shape that ``mixlab.tracking`` writes."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from mixlab.spec.metric import Metric as DeclaredMetric
from trainables.config import parse
from trainables.datasets.dataset import Split, Splits
from trainables.datasets.opening import dataset_of
from trainables.methods import build_network

ARMS = ("baseline", "+ lam", "+ l_s")
RULES = ("median10", "last", "best")
METRICS = (
    DeclaredMetric("test_top1", "%", 2, higher_is_better=True, rules=RULES, label="top-1 accuracy"),
    DeclaredMetric("train_loss", "nats", 4, higher_is_better=False, label="training loss"),
)


def make_plan(
    study: str = "ablation_tiny",
    arms: tuple[str, ...] = ARMS,
    seeds: int = 3,
    factors: Mapping[str, tuple[Any, ...]] | None = None,
) -> dict[str, Any]:
    factors = {"mixer": ("cutmix",)} if factors is None else factors
    trials = []
    for levels in itertools.product(*factors.values()):
        for arm, seed in itertools.product(arms, range(seeds)):
            named = dict(zip(factors, levels, strict=True))
            key = hashlib.sha256(f"{named}{arm}{seed}".encode()).hexdigest()[:12]
            trials.append({"key": key, "arm": arm, "levels": named, "seed": seed})
    return {
        "study": study,
        "preset": "quick",
        "factors": list(factors),
        "arms": list(arms),
        "baseline": arms[0],
        "metric": "test_top1_median10",
        "metrics": [metric.json() for metric in METRICS],
        "trials": trials,
    }


class TrackedStudy:
    """Writes one study; every method is what a driver would do."""

    def __init__(self, folder: Path, study: str = "ablation_tiny") -> None:
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.study = study
        self.client = MlflowClient(tracking_uri=self.uri)
        self.experiment = self.client.create_experiment(study, artifact_location=(folder / "artifacts").as_uri())

    def add_plan(self, plan: dict[str, Any], plan_hash: str = "a1b2c3d4") -> str:
        tags = {"mixlab.level": "study", "mixlab.plan": plan_hash}
        run_id = str(self.client.create_run(self.experiment, tags=tags).info.run_id)
        self.client.log_dict(run_id, json.loads(json.dumps(plan)), "plan.json")
        self.client.set_terminated(run_id)
        return run_id

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
    ) -> str:
        every = {"mixlab.level": "seed", "mixlab.key": trial["key"], "mixlab.study": self.study}
        every |= {"mixlab.arm": trial["arm"], "mixlab.seed": str(trial["seed"]), "mixlab.commit": "0123456789abcdef"}
        every |= {"mixlab.dirty": "false", "mixlab.data": "feedc0de", "mixlab.hardware": "a CPU", **(tags or {})}
        params = {
            "dataset": "cifar10",
            "backbone": "resnet20",
            "epochs": str(epochs),
            **trial["levels"],
            **(config or {}),
        }
        metrics = [Metric("test_top1", point, 0, step) for step, point in enumerate(curve)]
        if value is not None:
            rules = {"median10": value, "last": value - 0.5, "best": value + 0.5}
            metrics += [Metric(f"test_top1_{rule}", number, 0, epochs) for rule, number in rules.items()]
        run_id = str(self.client.create_run(self.experiment).info.run_id)
        self.client.log_batch(
            run_id,
            metrics,
            [Param(key, str(level)) for key, level in params.items()],
            [RunTag(key, text) for key, text in every.items()],
        )
        if status is not None:
            self.client.set_terminated(run_id, status)
        return run_id

    def add_all(self, plan: dict[str, Any], values: Mapping[tuple[str, int], float]) -> None:
        for trial in plan["trials"]:
            self.add_run(trial, values[trial["arm"], trial["seed"]])


@pytest.fixture(scope="session")
def track_in(empty_store: Path) -> Callable[..., TrackedStudy]:
    """Starts a study in the store of a folder."""

    def start(folder: Path, study: str = "ablation_tiny") -> TrackedStudy:
        if not (folder / "mlflow.db").exists():
            shutil.copy(empty_store, folder / "mlflow.db")
        return TrackedStudy(folder, study)

    return start


@pytest.fixture
def track(track_in: Callable[..., TrackedStudy], tmp_path: Path) -> Callable[..., TrackedStudy]:
    """Starts a study in this test's own store."""
    return partial(track_in, tmp_path)


@pytest.fixture(scope="session", name="make_plan")
def make_plan_fixture() -> Callable[..., dict[str, Any]]:
    return make_plan


@pytest.fixture
def planned_runs() -> Callable[..., pd.DataFrame]:
    """The rows that ``load_runs`` gives, made from values by (arm, seed); what is not given is missing."""

    def rows(plan: dict[str, Any], values: Mapping[tuple[str, int], float], **columns: Any) -> pd.DataFrame:
        trials = [{**trial, **{f"factor.{k}": v for k, v in trial["levels"].items()}} for trial in plan["trials"]]
        frame = pd.DataFrame(trials).drop(columns="levels")
        known = [(arm, seed) in values for arm, seed in zip(frame["arm"], frame["seed"], strict=True)]
        frame["status"] = ["done" if yes else "pending" for yes in known]
        frame = frame.assign(
            error="",
            commit="0123456789abcdef",
            dirty=False,
            data="feedc0de",
            hardware="a CPU",
            versions="torch 2",
            epochs=20,
            run_id="r",
        )
        cells = zip(frame["arm"], frame["seed"], strict=True)
        frame["metric.test_top1_median10"] = [values.get(cell, float("nan")) for cell in cells]
        return frame.assign(**{"config.dataset": "cifar10", "config.backbone": "resnet20", **columns})

    return rows


@pytest.fixture
def trained(
    track: Callable[..., TrackedStudy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[TrackedStudy, dict[str, Any], dict[tuple[str, int], str]]:
    """A study of two arms and two seeds with untrained networks as checkpoints, and its run ids; 40 test images."""
    study, plan = track(), make_plan(arms=("baseline", "+ lam"), seeds=2)
    study.add_plan(plan)
    config = {"dataset": "cifar10", "backbone": "resnet8", "epochs": 1, "mixer": "cutmix"}
    run_ids = {}
    for trial in plan["trials"]:
        run_id = study.add_run(trial, 40.0)
        number = 10 * (trial["arm"] == "+ lam") + trial["seed"]
        parsed = parse(config)
        network = build_network(parsed, dataset_of(parsed), seed=number)
        torch.save(network.backbone.state_dict(), tmp_path / "model.pt")
        study.client.log_artifact(run_id, str(tmp_path / "model.pt"))
        study.client.log_dict(run_id, {**config, "data_root": "elsewhere", "seed": trial["seed"]}, "config.json")
        run_ids[trial["arm"], trial["seed"]] = run_id
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 32, 32), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.arange(40) % 10)
    monkeypatch.setattr("analysis.networks.evaluate.load_cached", lambda name, root: Splits(split, split))
    return study, plan, run_ids
