"""The view of a study that really ran, in MLflow's own pages: names, nesting, numbers, table, plot."""

import os
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.chromium import Page, chromium, needs_chromium
from tests.servers import mlflow_server
from tests.study_folder import StudyFolder

ROOT = Path(__file__).parents[3]
SMALL = (
    "--preset",
    "smoke",
    "--dataset",
    "cifar10",
    "--mixers",
    "cutmix",
    "--arms",
    "+ lam",
    "--seeds",
    "2",
    "--train-images",
    "96",
    "--set",
    "test_images=96",
)
METRIC = "test_top1_median10"
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

pytestmark = [pytest.mark.slow, needs_chromium]


@dataclass(frozen=True)
class Served:
    """A finished study, and the server that shows it."""

    client: MlflowClient
    experiment: str
    printed: str  # by the command
    address: str

    def run(self, level: str, arm: str = "") -> str:
        """Return the id of the first run of a level, or of that of an arm."""
        of_arm = f" and tags.`mixlab.arm` = '{arm}'" if arm else ""
        found = self.client.search_runs([self.experiment], f"tags.`mixlab.level` = '{level}'{of_arm}")
        return str(found[0].info.run_id)

    def open_run(self, page: Page, run_id: str, tab: str = "") -> None:
        page.open(f"{self.address}/#/experiments/{self.experiment}/runs/{run_id}{tab}?workflowType=machine_learning")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    script = (str(ROOT / "studies" / "ablation_cifar100.py"), *SMALL, "--data-root", str(ROOT / "data"))
    study = StudyFolder(folder, "ablation_cifar100", script, empty_store)
    printed = study.run()
    with mlflow_server.running(study.uri, folder, os.environ) as server:
        experiment = study.client.get_experiment_by_name("ablation_cifar100").experiment_id
        yield Served(study.client, experiment, printed, server.uri)


@pytest.fixture(scope="module")
def page(served: Served) -> Iterator[Page]:
    with chromium(width=1900) as page:
        yield page


def test_the_address_that_the_study_prints_shows_its_arms(served: Served, page: Page) -> None:
    (printed,) = re.findall(r"then open (http://127\.0\.0\.1:5000\S+)", served.printed)
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
    text = page.evaluate("document.body.innerText")
    assert "Ablation of the terms of SUMix" in text
    assert "arms · smoke" in text


def test_runs_are_nested_study_arm_seed(served: Served, page: Page) -> None:
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


def test_the_run_of_a_study_is_described_by_its_table(served: Served, page: Page) -> None:
    served.open_run(page, served.run("study"))
    (table,) = page.until(f"(found => found.length == 1 && found)({TABLES})")
    assert table[0] == ["arm", "n", "mean ± sd", "gain", "95 % interval", "p", "p (family)", "verdict"]
    assert [row[0] for row in table[1:]] == ["baseline", "+ lam"]
    text = page.evaluate("document.querySelector('table').parentElement.innerText")
    assert text.startswith("No gain can be claimed: the one comparison is not significant.")
    assert "A win is a gain above zero with p (family) < 0.05." in text
    assert "mixer = cutmix: top-1 accuracy on the test set, %, median of all epochs" in text


def test_the_plots_of_a_study_are_seen(served: Served, page: Page) -> None:
    for name in ("gains", "curves", "lambda"):
        served.open_run(page, served.run("study"), f"/artifacts/{name}.png")
        assert page.until("[...document.images].map(image => image.naturalWidth).find(width => width > 500)")


def test_a_seed_has_a_chart_a_metric_and_none_a_bin(served: Served, page: Page) -> None:
    run_id = served.run("seed", "+ lam")
    names = set(served.client.get_run(run_id).data.metrics)
    assert {"train_loss", "test_top1", "lam_shift", METRIC} <= names
    assert len(names) < 32  # four accuracies and errors by five rules, and a dozen others
    assert not any("/" in name for name in names)
    assert "histograms.json" in {artifact.path for artifact in served.client.list_artifacts(run_id)}
    served.open_run(page, run_id, "/model-metrics")
    page.until(f"document.body?.textContent.includes('Model metrics({len(names)})')")
    page.until("document.querySelectorAll('.js-plotly-plot').length > 2")
    shown = page.evaluate("document.body.innerText").splitlines()
    assert "lam_shift" in shown
    assert "cutmix · + lam · seed" in " ".join(shown)
