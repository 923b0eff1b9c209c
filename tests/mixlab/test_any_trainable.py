"""A regressor goes through study, relaunch, search, table and page, its units right and no epoch doubled."""

import re
from pathlib import Path

import pandas as pd
import pytest

from mixlab import Options, run
from mixlab.spec.complete import complete
from mixlab.tracking import artifacts
from tests.mixlab import regressor
from tests.study_folder import StudyFolder

SCRIPT = str(Path(__file__).parent / "regressor.py")
HARD = "it's [5 %] of $1_000"


def test_what_it_leaves_out_is_supplied():
    train = complete(regressor.Line())
    assert train.estimate_seconds({}, Path("data")) is None
    assert regressor.search.completed(train).direction == "minimize"


@pytest.mark.slow
def test_a_study_of_a_regressor(tmp_path, empty_store):
    study = StudyFolder(tmp_path, "line", (SCRIPT, "study"), empty_store)
    plan = study.run_here("--dry-run")
    assert "18 trials: 18 pending" in plan
    assert "Cost unknown" in plan
    said = study.run_here("--system-metrics")
    assert "[18/18 done" in said
    assert "kg" in said
    assert "%" not in said.replace("95 %", "").replace("[5 %]", "").replace("80 %", "")
    assert "nan" not in said
    table = pd.read_csv(tmp_path / "results" / "line" / "paper" / "table.csv").set_index("arm")
    assert table.loc[HARD, "gain"] < 0  # a lower rmse is better
    assert table.loc[HARD, "win"]
    assert table.loc["none", "gain"] > 0
    assert not table.loc["none", "win"]

    client = study.client
    for found in study.runs("seed"):
        assert found.data.tags["mixlab.solver"] == "gradient descent"
        history = client.get_metric_history(found.info.run_id, "rmse")
        assert [point.step for point in history] == [1, 2, 3, 4, 5]
        values = [point.value for point in history]
        assert found.data.metrics["rmse_last"] == values[-1]
        assert found.data.metrics["rmse_best"] == min(values)
        assert found.data.metrics["rmse_median2"] == sum(values[-2:]) / 2
        assert 0 <= found.data.metrics["system/cpu_utilization_percentage"] <= 100
        assert found.data.metrics["system/system_memory_usage_megabytes"] > 100
        used = client.get_metric_history(found.info.run_id, "system/cpu_utilization_percentage")
        assert [point.step for point in used] == [1, 2, 3, 4, 5]  # as of every other metric
    page = (tmp_path / "results" / "line" / "paper" / "report.html").read_text()
    page = re.sub(r"base64,[A-Za-z0-9+/=]*", "", page)  # a picture may spell any word
    for absent in ("Top-1", "accuracy", "nan"):
        assert absent not in page

    # From Python, the same store gives the tables as data frames, and nothing is trained again.
    where = {"tracking_uri": study.uri, "storage": str(tmp_path / "of a part")}
    result = run(regressor.study, regressor.Line(), Options(quiet=True, arms=["none"], seeds=3, **where))
    assert result.exit_code == 0
    (found,) = result.tables
    assert list(found.index) == ["small steps", "none"]
    assert [verdict["arm"] for verdict in result.verdicts] == ["none"]
    assert all(len(client.get_metric_history(r.info.run_id, "rmse")) == 5 for r in study.runs("seed"))


@pytest.mark.slow
def test_a_search_of_a_regressor_keeps_factors_and_baselines(tmp_path, empty_store):
    search = StudyFolder(tmp_path, "line search", (SCRIPT, "search"), empty_store)
    said = search.run_here()
    assert "Search over: 12/12 tried" in said
    assert "8/8 done" in said
    best = {name: min(trials, key=lambda trial: trial.value) for name, trials in search.trials().items()}
    assert all(trial.params["step"] > 0.1 for trial in best.values())
    (plan,) = [run for run in search.runs("study") if run.data.tags["mixlab.level"] == "study"]
    content = artifacts.read_json(search.client, plan.info.run_id, "plan.json")
    assert content["factors"] == ["rmse"]
    assert content["arms"] == ["plain", "twice"]
    assert content["baseline"] == "plain"
    assert {tuple(trial["levels"].items()) for trial in content["trials"]} == {
        (("rmse", "short"),),
        (("rmse", "long"),),
    }
