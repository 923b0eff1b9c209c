"""A search through Ray, Optuna, MLflow and the table: whole, and extended."""

import io
import math
from collections import Counter

import pandas as pd
import pytest
from optuna.trial import FrozenTrial, TrialState

from tests.study_folder import StudyFolder, toy_folder
from tests.toy import begun

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory, empty_store) -> StudyFolder:
    toy = toy_folder(tmp_path_factory.mktemp("whole"), "search", empty_store=empty_store)
    toy.run_here("--trials", "60")
    return toy


def best_of(trials: list[FrozenTrial]) -> FrozenTrial:
    return max((trial for trial in trials if trial.state == TrialState.COMPLETE), key=lambda trial: trial.value or 0)


def test_it_finds_the_known_optimum_of_every_arm(whole):
    for arm, peak in (("low", 0.2), ("high", 0.8)):
        trials = whole.trials()[arm]
        assert len(trials) == 30
        best = best_of(trials).params
        off = 3 * (math.log(best["zeta"] / peak) ** 2 + math.log(best["alpha"] / 0.5) ** 2)
        assert off < 2.0  # the space spans 30 and more


def test_optuna_has_every_trial_as_what_it_was(whole):
    states = Counter(trial.state.name for trials in whole.trials().values() for trial in trials)
    assert set(states) == {"COMPLETE", "PRUNED", "FAIL"}
    for trials in whole.trials().values():
        for trial in trials:
            steps = sorted(trial.intermediate_values)
            assert steps == list(range(1, len(steps) + 1))
            assert (trial.state == TrialState.COMPLETE) == (len(steps) == 9)
            assert (trial.state == TrialState.FAIL) == (trial.params["zeta"] > 1.6)
            if trial.state == TrialState.FAIL:
                assert trial.user_attrs["mixlab.error"].endswith("Diverged: the training loss became nan")
            else:
                assert trial.value == trial.intermediate_values[steps[-1]]


def test_a_failure_is_not_retried_and_test_data_are_not_read_before_the_winners_are_known(whole):
    *tried, one, two, three, four = begun(whole.folder)
    assert Counter((run["evaluate"], run["seed"]) for run in tried) == {("validation", 1000): 60}
    assert Counter((run["evaluate"], run["seed"]) for run in (one, two, three, four)) == {
        ("test", 0): 2,
        ("test", 1): 2,
    }


def test_mlflow_shows_search_arm_trial_with_states_curves_and_the_best(whole):
    runs = {run.info.run_id: run for run in whole.runs()}
    client = whole.client
    levels = Counter(run.data.tags["mixlab.level"] for run in runs.values())
    assert levels == {"search": 1, "study": 1, "arm": 4, "trial": 60, "seed": 4}
    optuna_trials = whole.trials()
    words = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}
    for run in whole.runs("trial"):
        tags = run.data.tags
        arm = runs[tags["mlflow.parentRunId"]]
        assert arm.data.tags["mixlab.level"] == "arm"
        assert runs[arm.data.tags["mlflow.parentRunId"]].data.tags["mixlab.level"] == "search"
        trial = optuna_trials[tags["mixlab.arm"]][int(tags["mixlab.trial"])]
        assert tags["mixlab.state"] == words[trial.state.name]
        assert run.info.status == ("FAILED" if trial.state == TrialState.FAIL else "FINISHED")
        assert float(run.data.params["zeta"]) == trial.params["zeta"]
        curve = client.get_metric_history(run.info.run_id, "val_top1")
        assert {point.step: point.value for point in curve} == pytest.approx(trial.intermediate_values)
        assert not any(name.startswith("test") for name in run.data.metrics)
    marked = [run.data.tags for run in runs.values() if run.data.tags.get("mixlab.best") == "true"]
    best = {arm: str(best_of(trials).number) for arm, trials in optuna_trials.items()}
    assert sorted((tags["mixlab.arm"], tags["mixlab.trial"]) for tags in marked) == sorted(best.items())


def test_only_the_confirmation_enters_the_table(whole):
    table = pd.read_csv(io.StringIO(whole.table("paper"))).set_index("arm")
    assert table["n"].to_dict() == {"low": 2, "high": 2}
    for arm, mean in table["mean"].items():
        runs = [run for run in whole.runs("seed") if run.data.tags["mixlab.arm"] == arm]
        assert mean == pytest.approx(sum(run.data.metrics["test_top1_median10"] for run in runs) / 2)


def test_more_trials_are_just_the_difference_and_the_same_command_runs_none(whole):
    before = begun(whole.folder)
    assert "started" not in whole.run_here("--trials", "60")
    assert begun(whole.folder) == before
    out = whole.run_here("--trials", "64")
    assert len([line for line in out.splitlines() if "· trial" in line and line.endswith("started")]) == 4
    new = [run for run in begun(whole.folder)[len(before) :] if run["evaluate"] == "validation"]
    assert len(new) == 4
    assert {arm: len(trials) for arm, trials in whole.trials().items()} == {"low": 32, "high": 32}
