"""The ablation through Ray, MLflow and the table, on real images: whole, and extended."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.studies.small_ablation import ROOT, STUDY, study_folder
from tests.study_folder import StudyFolder
from trainables.hardware import device, environment

FEW = ("--train-images", "200", "--set", "test_images=100")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> StudyFolder:
    study = study_folder(tmp_path_factory.mktemp("undisturbed"), empty_store)
    study.run_here(*FEW)
    return study


def test_whole_study_ends_with_table_and_true_states(undisturbed: StudyFolder) -> None:
    results = undisturbed.results()
    assert set(results) == {("baseline", "0"), ("+ lam", "0")}
    for histories in results.values():
        for name in ("train_loss", "test_top1", "test_top5"):
            assert [step for step, _ in histories[name]] == [1, 2, 3, 4]
        values = sorted(value for _, value in histories["test_top1"])
        assert histories["test_top1_median10"] == [(4, (values[1] + values[2]) / 2)]
        assert histories["test_top1_best"] == [(4, values[-1])]
    assert undisturbed.statuses() == {"FINISHED"}
    out = undisturbed.folder / "results" / STUDY / "smoke"
    assert {"table.md", "table.csv", "gains.png", "report.html"} <= {path.name for path in out.iterdir()}
    assert "too few seeds to tell" in (out / "table.md").read_text()
    # Whatever MLflow holds needs no second copy.
    assert not undisturbed.journals()


def test_runs_are_nested_and_described(undisturbed: StudyFolder) -> None:
    client = undisturbed.client
    runs = {run.info.run_id: run for run in undisturbed.runs()}
    hardware, *_ = environment(device())["hardware"].split(" and ")  # without this process's threads: a trial has one
    levels = [run.data.tags["mixlab.level"] for run in runs.values()]
    assert sorted(levels) == ["arm"] * 2 + ["seed"] * 2 + ["study"]
    for run in runs.values():
        parent = runs.get(run.data.tags.get("mlflow.parentRunId", ""))
        above = {"seed": "arm", "arm": "study"}.get(run.data.tags["mixlab.level"])
        assert (parent.data.tags["mixlab.level"] if parent else None) == above
        if above == "arm":
            assert run.data.params["sumix.zeta"] == "0.5"
            assert run.data.params["backbone"] == "resnet8"
            assert run.data.tags["mixlab.hardware"] == hardware
            assert f"torchvision {version('torchvision')}, " in run.data.tags["mixlab.libraries"]
            assert f"ray {version('ray')}, " in run.data.tags["mixlab.versions"]
            artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
            assert {"model.pt", "config.json"} <= artifacts
    study = next(run for run in runs.values() if run.data.tags["mixlab.level"] == "study")
    artifacts = {artifact.path for artifact in client.list_artifacts(study.info.run_id)}
    assert {"plan.json", "table.md", "table.csv", "gains.png", "report.html"} <= artifacts


def test_a_seed_more_trains_only_it(undisturbed: StudyFolder) -> None:
    before = undisturbed.results()
    out = undisturbed.run_here("--seeds", "2", *FEW)
    started = [line for line in out.splitlines() if line.endswith("started")]
    assert len(started) == 2
    assert all("seed 1" in line for line in started)
    after = undisturbed.results()
    assert len(after) == 4
    assert {cell: after[cell] for cell in before} == before


@pytest.mark.parametrize("package", ["mixlab", "analysis"])
def test_nothing_is_reported_to_the_makers_of_ray_and_mlflow(package: str) -> None:
    script = f"import {package}, mlflow.telemetry.utils, ray._common.usage.usage_lib as ray; "
    script += "print(mlflow.telemetry.utils.is_telemetry_disabled(), ray.usage_stats_enabled())"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "RAY", "PYTEST", "CI"))}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=kept, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]
