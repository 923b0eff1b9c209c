"""The ablation through Ray, MLflow and the table, on real images: whole, killed, resumed, extended.

Every test compares with one undisturbed run of the same study.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.servers.program import Program
from tests.study_folder import StudyFolder
from trainables.hardware import device, environment

ROOT = Path(__file__).parents[2]
STUDY = "ablation_cifar100"
SMALL = (
    *("--preset", "smoke", "--dataset", "cifar10", "--data-root", str(ROOT / "data")),
    *("--mixers", "cutmix", "--arms", "+ lam", "--seeds", "2", "--epochs", "4"),
)

pytestmark = pytest.mark.slow


def study_folder(folder: Path, empty_store: Path) -> StudyFolder:
    script = (str(ROOT / "studies" / f"{STUDY}.py"), *SMALL)
    return StudyFolder(folder, STUDY, script, empty_store)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> StudyFolder:
    study = study_folder(tmp_path_factory.mktemp("undisturbed"), empty_store)
    study.run()
    return study


@pytest.fixture
def study(tmp_path: Path, empty_store: Path) -> StudyFolder:
    return study_folder(tmp_path, empty_store)


def require_same(disturbed: StudyFolder, undisturbed: StudyFolder) -> None:
    expected = {cell: found for cell, found in undisturbed.results().items() if cell[1] in ("0", "1")}
    assert disturbed.results() == expected


def test_whole_study_ends_with_table_and_true_states(undisturbed: StudyFolder) -> None:
    results = undisturbed.results()
    assert set(results) == {(arm, seed) for arm in ("baseline", "+ lam") for seed in ("0", "1")}
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
    levels = [run.data.tags["mixlab.level"] for run in runs.values()]
    assert sorted(levels) == ["arm"] * 2 + ["seed"] * 4 + ["study"]
    for run in runs.values():
        parent = runs.get(run.data.tags.get("mlflow.parentRunId", ""))
        above = {"seed": "arm", "arm": "study"}.get(run.data.tags["mixlab.level"])
        assert (parent.data.tags["mixlab.level"] if parent else None) == above
        if above == "arm":
            assert run.data.params["sumix.zeta"] == "0.5"
            assert run.data.params["backbone"] == "resnet8"
            assert run.data.tags["mixlab.hardware"] == environment(device())["hardware"]
            artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
            assert {"model.pt", "config.json"} <= artifacts
    study = next(run for run in runs.values() if run.data.tags["mixlab.level"] == "study")
    artifacts = {artifact.path for artifact in client.list_artifacts(study.info.run_id)}
    assert {"plan.json", "table.md", "table.csv", "gains.png", "report.html"} <= artifacts


def test_second_call_trains_nothing_and_a_seed_more_trains_only_it(undisturbed: StudyFolder) -> None:
    before = undisturbed.results()
    out = undisturbed.run()
    assert "started" not in out
    assert "+ lam" in out
    out = undisturbed.run("--seeds", "3")
    started = [line for line in out.splitlines() if line.endswith("started")]
    assert len(started) == 2
    assert all("seed 2" in line for line in started)
    after = undisturbed.results()
    assert len(after) == 6
    assert {cell: after[cell] for cell in before} == before


def require_loopback(driver: Program) -> None:
    """Require that the driver and all that it has started listen on loopback alone."""
    sockets = [
        connection.laddr
        for process in (psutil.Process(driver.process.pid), *driver.children())
        for connection in process.net_connections("inet")
        if connection.status == "LISTEN"
    ]
    assert len(sockets) > 3
    assert {address.ip.removeprefix("::ffff:") for address in sockets} <= {"127.0.0.1", "::1"}


def test_whatever_is_stopped_or_killed_goes_on_and_every_number_is_the_same(
    undisturbed: StudyFolder, study: StudyFolder
) -> None:
    driver = study.start()
    study.wait_for_new_checkpoint(driver)
    require_loopback(driver)
    (worker, *_) = driver.children("ray::ImplicitFu")
    worker.kill()
    driver.until_said("crashed")
    study.wait_for_new_checkpoint(driver)
    driver.interrupt(signal.SIGTERM)  # as a batch system or a container's engine ends it
    assert "To go on: python" in driver.finish(code=130, seconds=30)
    assert "RUNNING" not in study.statuses()

    driver = study.start()
    study.wait_for_new_checkpoint(driver)
    driver.interrupt(signal.SIGKILL)
    driver.process.wait()

    assert "goes on after epoch" in study.run()
    require_same(study, undisturbed)
    assert study.statuses() == {"FINISHED"}


@pytest.mark.parametrize("package", ["mixlab", "analysis"])
def test_nothing_is_reported_to_the_makers_of_ray_and_mlflow(package: str) -> None:
    script = f"import {package}, mlflow.telemetry.utils, ray._common.usage.usage_lib as ray; "
    script += "print(mlflow.telemetry.utils.is_telemetry_disabled(), ray.usage_stats_enabled())"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "RAY", "PYTEST", "CI"))}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=kept, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]
