"""The ablation through Ray, MLflow and the table, on real images: whole, killed, resumed, extended.

Every test compares with one undisturbed run of the same study.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient

from trainables.training import device, hardware

ROOT = Path(__file__).parents[2]
STUDY = "ablation_cifar100"
SMALL = (
    *("--preset", "smoke", "--dataset", "cifar10", "--data-root", str(ROOT / "data")),
    *("--mixers", "cutmix", "--arms", "+ l_su", "--seeds", "2", "--epochs", "4"),
)

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Place:
    """A store and a storage of their own."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    def command(self, *options: str) -> list[str]:
        script = str(ROOT / "studies" / f"{STUDY}.py")
        where = ("--tracking-uri", self.uri, "--storage", str(self.folder / "results"))
        return [sys.executable, script, *SMALL, *where, *options]

    def run(self, *options: str, code: int = 0) -> str:
        done = subprocess.run(self.command(*options), cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def start(self) -> subprocess.Popen[bytes]:
        log = (self.folder / "out.txt").open("ab")
        return subprocess.Popen(self.command(), cwd=ROOT, stdout=log, stderr=log)

    def checkpoints(self) -> set[Path]:
        return set((self.folder / "results").glob(f"{STUDY}/trials/*/*/checkpoint_*/journal.json"))

    def wait_for_new_checkpoint(self, driver: subprocess.Popen[bytes]) -> None:
        before = self.checkpoints()
        deadline = time.monotonic() + 120
        while not self.checkpoints() - before:
            assert driver.poll() is None, (self.folder / "out.txt").read_text()[-3000:]
            assert time.monotonic() < deadline, "no checkpoint within two minutes"
            time.sleep(0.05)

    def results(self) -> dict[tuple[str, str], dict[str, object]]:
        """Of each (arm, seed): every metric's history but the times, and the bytes of the model."""
        client = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name(STUDY)
        runs = client.search_runs([experiment.experiment_id], "tags.`mixlab.level` = 'seed'")
        found: dict[tuple[str, str], dict[str, object]] = {}
        for run in runs:
            cell = (run.data.tags["mixlab.arm"], run.data.tags["mixlab.seed"])
            assert cell not in found, f"{cell} is there twice"
            assert run.info.status == "FINISHED"
            names = sorted(set(run.data.metrics) - {"train_seconds", "peak_memory_mib"})
            histories = {
                name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)] for name in names
            }
            model = Path(client.download_artifacts(run.info.run_id, "model.pt"))
            found[cell] = {"model": hashlib.sha256(model.read_bytes()).hexdigest(), **histories}
        return found

    def statuses(self) -> set[str]:
        client = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name(STUDY)
        return {run.info.status for run in client.search_runs([experiment.experiment_id])}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    place.run()
    return place


def test_whole_study_ends_with_table_and_true_states(undisturbed: Place) -> None:
    results = undisturbed.results()
    assert set(results) == {(arm, seed) for arm in ("baseline", "+ l_su") for seed in ("0", "1")}
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
    # What MLflow holds needs no second copy.
    assert not undisturbed.checkpoints()


def test_runs_are_nested_and_described(undisturbed: Place) -> None:
    client = MlflowClient(undisturbed.uri)
    experiment = client.get_experiment_by_name(STUDY)
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    levels = [run.data.tags["mixlab.level"] for run in runs.values()]
    assert sorted(levels) == ["arm"] * 2 + ["seed"] * 4 + ["study"]
    for run in runs.values():
        parent = runs.get(run.data.tags.get("mlflow.parentRunId", ""))
        above = {"seed": "arm", "arm": "study"}.get(run.data.tags["mixlab.level"])
        assert (parent.data.tags["mixlab.level"] if parent else None) == above
        if above == "arm":
            assert run.data.params["sumix.zeta"] == "0.5"
            assert run.data.params["backbone"] == "resnet8"
            assert run.data.tags["mixlab.hardware"] == hardware(device())
            artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
            assert {"model.pt", "config.json"} <= artifacts
    study = next(run for run in runs.values() if run.data.tags["mixlab.level"] == "study")
    artifacts = {artifact.path for artifact in client.list_artifacts(study.info.run_id)}
    assert {"plan.json", "table.md", "table.csv", "gains.png", "report.html"} <= artifacts


def test_second_call_trains_nothing_and_a_seed_more_trains_only_it(undisturbed: Place) -> None:
    before = undisturbed.results()
    start = time.monotonic()
    out = undisturbed.run()
    assert time.monotonic() - start < 20
    assert "started" not in out
    assert "+ l_su" in out
    plan = undisturbed.run("--seeds", "3", "--dry-run")
    assert "6 trials: 4 done, 2 pending" in plan
    out = undisturbed.run("--seeds", "3")
    started = [line for line in out.splitlines() if line.endswith("started")]
    assert len(started) == 2
    assert all("seed 2" in line for line in started)
    after = undisturbed.results()
    assert len(after) == 6
    assert {cell: after[cell] for cell in before} == before


def test_killed_driver_goes_on_and_every_number_is_the_same(undisturbed: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    driver = place.start()
    place.wait_for_new_checkpoint(driver)
    driver.send_signal(signal.SIGTERM)  # as a batch system or a container's engine ends it
    assert driver.wait(30) == 130
    assert "To go on: python" in (tmp_path / "out.txt").read_text()
    assert "RUNNING" not in place.statuses()
    driver = place.start()
    place.wait_for_new_checkpoint(driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    plan = place.run("--dry-run")
    assert "interrupted" in plan
    out = place.run()
    assert "goes on after epoch" in out
    expected = {cell: found for cell, found in undisturbed.results().items() if cell[1] in ("0", "1")}
    assert place.results() == expected
    assert place.statuses() == {"FINISHED"}


def test_it_listens_on_loopback_alone_and_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    place = Place(tmp_path)
    driver = place.start()
    place.wait_for_new_checkpoint(driver)

    parent = psutil.Process(driver.pid)
    sockets = [
        c.laddr
        for p in (parent, *parent.children(recursive=True))
        for c in p.net_connections("inet")
        if c.status == "LISTEN"
    ]
    assert len(sockets) > 3
    assert {address.ip.removeprefix("::ffff:") for address in sockets} <= {"127.0.0.1", "::1"}

    start = time.monotonic()
    driver.send_signal(signal.SIGINT)
    assert driver.wait(30) == 130
    assert time.monotonic() - start < 15
    assert "To go on: python" in (tmp_path / "out.txt").read_text()
    assert "RUNNING" not in place.statuses()


@pytest.mark.parametrize("package", ["mixlab", "analysis"])
def test_nothing_is_reported_to_the_makers_of_ray_and_mlflow(package: str) -> None:
    script = f"import {package}, mlflow.telemetry.utils, ray._common.usage.usage_lib as ray; "
    script += "print(mlflow.telemetry.utils.is_telemetry_disabled(), ray.usage_stats_enabled())"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "RAY", "PYTEST", "CI"))}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=kept, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]


def test_crashed_trial_goes_on_from_its_checkpoint(undisturbed: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    driver = place.start()
    place.wait_for_new_checkpoint(driver)
    children = psutil.Process(driver.pid).children(recursive=True)
    workers = [child for child in children if child.name().startswith("ray::ImplicitFu")]
    assert workers, f"found no worker among {[child.name() for child in children]}"
    os.kill(workers[0].pid, signal.SIGKILL)
    assert driver.wait(200) == 0, (tmp_path / "out.txt").read_text()[-3000:]
    assert "crashed" in (tmp_path / "out.txt").read_text()
    expected = {cell: found for cell, found in undisturbed.results().items() if cell[1] in ("0", "1")}
    assert place.results() == expected
