"""The ablation through Ray, MLflow and the table, on real images, is stopped and killed and goes on to its end: what it
leaves is what an undisturbed training leaves, and MLflow's own pages show it.
"""

import hashlib
import os
import re
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient

from mixlab import Epoch
from mixlab.tracking import artifacts
from tests.chromium import Page, chromium, needs_chromium
from tests.servers import mlflow_server
from tests.servers.isolation import ROOT
from tests.servers.program import Program
from tests.study_folder import TIMES_AND_MEMORY, StudyFolder
from trainables import classify
from trainables.device.hardware import device, environment

STUDY = "ablation_cifar100"
EPOCHS = 4
# The smallest form of the study, one trial at a time where there are two processors: each start has one worker.
SMALL = (
    *("--preset", "smoke", "--dataset", "cifar10", "--data-root", str(ROOT / "data")),
    *("--mixers", "cutmix", "--arms", "+ lam", "--seeds", "2", "--epochs", str(EPOCHS), "--cpus-per-trial", "1.5"),
    *("--train-images", "200", "--set", "test_images=100"),
)
METRIC = "test_top1_median10"
LAST_START = "last_start.txt"
# The list is drawn in two halves, one that stays in place and one that is moved sideways: a row has a part in each.
ROWS = """(() => {
  const rows = {};
  for (const row of document.querySelectorAll(".ag-row")) {
    const cells = rows[row.getAttribute("row-index")] ??= {};
    for (const cell of row.querySelectorAll("[col-id]")) {
      cells[cell.getAttribute("col-id")] = (cell.querySelector("a") ?? cell).textContent.trim();
    }
  }
  return Object.keys(rows).sort((a, b) => a - b).map(index => rows[index])})()"""
TABLES = """[...document.querySelectorAll("table")].map(table => [...table.rows].map(
  row => [...row.cells].map(cell => cell.textContent.trim())))"""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Served:
    """A finished study, and the server that shows it."""

    client: MlflowClient
    experiment: str
    address: str

    def run(self, level: str, arm: str = "") -> str:
        """Return the id of the first run of a level, or of that of an arm."""
        of_arm = f" and tags.`mixlab.arm` = '{arm}'" if arm else ""
        found = self.client.search_runs([self.experiment], f"tags.`mixlab.level` = '{level}'{of_arm}")
        return str(found[0].info.run_id)

    def open_run(self, page: Page, run_id: str, tab: str = "") -> None:
        page.open(f"{self.address}/#/experiments/{self.experiment}/runs/{run_id}{tab}?workflowType=machine_learning")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, empty_store) -> StudyFolder:
    """Return the study after a worker was killed, and then the driver stopped and killed."""
    command = (str(ROOT / "studies" / f"{STUDY}.py"), *SMALL)
    study = StudyFolder(tmp_path_factory.mktemp("finished"), STUDY, command, empty_store)
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

    driver, begun = study.start(), trials_begun(study)
    driver.until(lambda: trials_begun(study) - begun)  # another one, far from its end
    driver.interrupt(signal.SIGKILL)
    driver.process.wait()

    with study.start(log=LAST_START) as driver:
        assert "goes on after epoch" in driver.finish()
    return study


def trials_begun(study: StudyFolder) -> set[str]:
    """Return the key of every trial that has left a checkpoint."""
    return {journal.parent.parent.name for journal in study.journals()}


def connections(process: psutil.Process) -> list:
    """Return the network connections of a process, and none of one that has ended."""
    try:
        return process.net_connections("inet")
    except psutil.NoSuchProcess:
        return []


def require_loopback(driver: Program) -> None:
    """Require that the driver and all that it has started listen on loopback alone."""
    sockets = [
        connection.laddr
        for process in (psutil.Process(driver.process.pid), *driver.children())
        for connection in connections(process)
        if connection.status == "LISTEN"
    ]
    assert len(sockets) > 3
    assert {address.ip.removeprefix("::ffff:") for address in sockets} <= {"127.0.0.1", "::1"}


@pytest.fixture(scope="module")
def served(finished) -> Iterator[Served]:
    with mlflow_server.running(finished.uri, finished.folder, os.environ) as server:
        experiment = finished.client.get_experiment_by_name(STUDY).experiment_id
        yield Served(finished.client, experiment, server.uri)


@pytest.fixture(scope="module")
def page(served) -> Iterator[Page]:
    with chromium(width=1900) as page:
        yield page


def test_whole_study_ends_with_table_and_true_states(finished):
    results = finished.results()
    assert set(results) == {(arm, seed) for arm in ("baseline", "+ lam") for seed in ("0", "1")}
    for histories in results.values():
        values = [value for _, value in histories["test_top1"]]
        assert histories["test_top1_median10"] == [(EPOCHS, statistics.median(values))]
        assert histories["test_top1_best"] == [(EPOCHS, max(values))]
    assert finished.statuses() == {"FINISHED"}
    assert "too few seeds to tell" in (finished.folder / "results" / STUDY / "smoke" / "table.md").read_text()
    # Whatever MLflow holds needs no second copy.
    assert not finished.journals()
    # The garbage that Python does not look for as it ends has objects of triton, which would list them.
    assert finished.said(LAST_START).splitlines()[-1].startswith("Every run in the MLflow UI")


def test_every_number_is_that_of_an_undisturbed_training(finished, tmp_path):
    results = finished.results()
    for run in finished.runs("seed"):
        config = artifacts.read_json(finished.client, run.info.run_id, "config.json")
        seed, epochs = config.pop("seed"), []

        def keep(epoch: Epoch, save: Callable[[Path], None], epochs: list[Epoch] = epochs) -> None:
            epochs.append(epoch)
            save(tmp_path)

        classify.train(config, seed, keep, data_root=ROOT / "data")
        assert len(epochs) == EPOCHS
        found = results[run.data.tags["mixlab.arm"], str(seed)]
        for name in epochs[0].metrics.keys() - TIMES_AND_MEMORY:
            assert found[name] == [(epoch.number, epoch.metrics[name]) for epoch in epochs], name
        assert found["model"] == hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()


def test_runs_are_nested_and_described(finished):
    client = finished.client
    runs = {run.info.run_id: run for run in finished.runs()}
    hardware, *_ = environment(device())["hardware"].split(" and ")  # without this process's threads: a trial has one
    levels = []
    for run in runs.values():
        parent = runs.get(run.data.tags.get("mlflow.parentRunId", ""))
        level, above = (found.data.tags["mixlab.level"] if found else None for found in (run, parent))
        levels.append((level, above))
        files = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
        if level == "study":
            assert {"plan.json", "table.md", "table.csv", "gains.png", "report.html"} <= files
        elif level == "seed":
            assert {"model.pt", "config.json"} <= files
            assert (run.data.params["sumix.zeta"], run.data.params["backbone"]) == ("0.5", "resnet8")
            assert run.data.tags["mixlab.hardware"] == hardware
            assert f"torchvision {version('torchvision')}, " in run.data.tags["mixlab.libraries"]
            assert f"ray {version('ray')}, " in run.data.tags["mixlab.versions"]
    assert sorted(levels) == [("arm", "study")] * 2 + [("seed", "arm")] * 4 + [("study", None)]


@pytest.mark.parametrize("package", ["mixlab", "analysis"])
def test_nothing_is_reported_to_the_makers_of_ray_and_mlflow(package):
    script = f"import {package}, mlflow.telemetry.utils, ray._common.usage.usage_lib as ray; "
    script += "print(mlflow.telemetry.utils.is_telemetry_disabled(), ray.usage_stats_enabled())"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "RAY", "PYTEST", "CI"))}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=kept, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]


@needs_chromium
def test_the_address_that_the_study_prints_shows_its_arms(finished, served, page):
    (printed,) = re.findall(r"then open (http://127\.0\.0\.1:5000\S+)", finished.said(LAST_START))
    page.open(printed.replace("http://127.0.0.1:5000", served.address))
    drawn = page.until(f"(rows => rows.length == 2 && rows.every(row => 'metrics.`n`' in row) && rows)({ROWS})")
    rows = {row["attributes.`Run Name`"]: row for row in drawn}
    assert set(rows) == {"cutmix · baseline", "cutmix · + lam"}
    for arm in ("baseline", "+ lam"):
        row = rows[f"cutmix · {arm}"]
        condition = f"tags.`mixlab.level` = 'seed' and tags.`mixlab.arm` = '{arm}'"
        values = [run.data.metrics[METRIC] for run in served.client.search_runs([served.experiment], condition)]
        assert float(row[f"metrics.`{METRIC}`"]) == pytest.approx(statistics.mean(values), abs=0.006)
        assert float(row["metrics.`sd`"]) == pytest.approx(statistics.stdev(values), abs=0.006)
        assert row["metrics.`n`"] == "2"
    means = [float(rows[name][f"metrics.`{METRIC}`"]) for name in ("cutmix · + lam", "cutmix · baseline")]
    assert float(rows["cutmix · + lam"]["metrics.`gain`"]) == pytest.approx(means[0] - means[1], abs=0.011)
    assert "too few seeds" in rows["cutmix · + lam"]["attributes.`Description`"]
    page.until_shown("Ablation of the terms of SUMix", "arms · smoke")


@needs_chromium
def test_runs_are_nested_study_arm_seed(served, page):
    view = "viewStateShareKey=study&workflowType=machine_learning"
    page.open(f"{served.address}/#/experiments/{served.experiment}/runs?{view}")
    names = f"{ROWS}.map(row => row['attributes.`Run Name`'])"
    assert page.until(f"(names => names.length == 1 && names)({names})") == ["ablation_cifar100 · smoke"]
    page.expand("ablation_cifar100 · smoke")
    page.until(f"{names}.length == 3")
    page.expand("cutmix · + lam")
    page.until(f"{names}.length == 5")
    study, first, *rest = page.evaluate(names)
    assert (study, first) == ("ablation_cifar100 · smoke", "cutmix · baseline")  # arms in the order of the study
    assert rest[0] == "cutmix · + lam"
    assert set(rest[1:]) == {"cutmix · + lam · seed 0", "cutmix · + lam · seed 1"}


@needs_chromium
def test_the_run_of_a_study_is_described_by_its_table(served, page):
    served.open_run(page, served.run("study"))
    (table,) = page.until(f"(found => found.length == 1 && found)({TABLES})")
    assert table[0] == ["arm", "n", "mean ± sd", "gain", "95 % interval", "p", "p (family)", "verdict"]
    assert [row[0] for row in table[1:]] == ["baseline", "+ lam"]
    text = page.evaluate("document.querySelector('table').parentElement.innerText")
    assert text.startswith("No gain can be claimed: the one comparison is not a win.")
    assert "A win is a gain above zero with p (family) < 0.05." in text
    assert "mixer = cutmix: top-1 accuracy on the test set, %, median of all epochs" in text


@needs_chromium
def test_the_plots_of_a_study_are_seen(served, page):
    for name in ("gains", "curves", "lambda"):
        served.open_run(page, served.run("study"), f"/artifacts/{name}.png")
        assert page.until("[...document.images].map(image => image.naturalWidth).find(width => width > 400)")


@needs_chromium
def test_a_seed_has_a_chart_a_metric_and_none_a_bin(served, page):
    run_id = served.run("seed", "+ lam")
    names = set(served.client.get_run(run_id).data.metrics)
    assert {"train_loss", "test_top1", "lam_shift", METRIC} <= names
    assert len(names) < 36  # four accuracies and errors by five rules, and fifteen others
    assert not any("/" in name for name in names)
    assert "histograms.json" in {artifact.path for artifact in served.client.list_artifacts(run_id)}
    served.open_run(page, run_id, "/model-metrics")
    page.until(f"document.body?.textContent.includes('Model metrics({len(names)})')")
    page.until("document.querySelectorAll('.js-plotly-plot').length > 2")
    page.until("document.body.innerText.split('\\n').includes('lam_shift')")
    page.until_shown("cutmix · + lam · seed")
