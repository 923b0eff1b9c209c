"""The runs of a study are read from a real MLflow store."""

import math
import time

import pandas as pd
import pytest
from mlflow.entities import Metric

from analysis.records import load_curves, load_plan, load_runs
from mixlab.errors import BadInput
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import Trial
from mixlab.tracking import names


def test_every_planned_cell_is_a_row_whatever_became_of_it(track, make_plan):
    study, plan = track(), make_plan(seeds=2)
    study.add_plan(plan)
    trials = plan["trials"]
    study.add_run(trials[0], 70.25, tags={"mixlab.dirty": "true", "mixlab.hardware": "a GPU"})
    study.add_run(trials[1], None, status="FAILED", tags={"mixlab.error": "RuntimeError: loss is NaN"}, curve=(10.0,))
    study.add_run(trials[2], None, status=None, curve=(10.0, 20.0))
    study.add_run(trials[3], None, status="KILLED")

    runs = load_runs(study.uri, study.study)

    assert list(runs["key"]) == [trial["key"] for trial in trials]
    assert list(runs["status"]) == ["done", "failed", "running", "interrupted", "pending", "pending"]
    assert list(runs["error"]) == ["", "RuntimeError: loss is NaN", "", "", "", ""]
    assert list(runs["arm"]) == ["baseline", "baseline", "+ lam", "+ lam", "+ l_s", "+ l_s"]
    assert list(runs["seed"]) == [0, 1, 0, 1, 0, 1]
    assert set(runs["factor.mixer"]) == {"cutmix"}
    first = runs.iloc[0]
    found = (first["commit"], first["dirty"], first["data"], first["hardware"], first["epochs"])
    assert found == ("0123456789abcdef", True, "feedc0de", "a GPU", 20)
    assert first["metric.test_top1_median10"] == 70.25
    assert first["config.backbone"] == "resnet20"
    assert pd.isna(runs["epochs"].iloc[-1])


def test_a_configuration_and_a_metric_may_have_the_names_of_columns(track, make_plan):
    study, plan = track(), make_plan(arms=("baseline",), seeds=1, factors={"epochs": ("1", "2")})
    study.add_plan(plan)
    config = {"seed": 7, "arm": "x", "status": "y", "key": "z", "error": "none", "commit": "c"}
    for trial in plan["trials"]:
        study.add_run(trial, 70.0, config=config)
        study.tracker.trials.epochs(Trial(trial["key"], "", {}, 0, {}), [Epoch(21, 21, {"seed": 3.0, "arm": 4.0})])
    study._written()
    runs = load_runs(study.uri, study.study)
    for row, trial in zip(runs.to_dict("records"), plan["trials"], strict=True):
        named = {name: row[name] for name in ("seed", "arm", "status", "key", "error")}
        assert named == {"seed": 0, "arm": "baseline", "status": "done", "key": trial["key"], "error": ""}
        assert row["factor.epochs"] == trial["levels"]["epochs"]
        assert {key: row[f"config.{key}"] for key in ("arm", "status", "key", "error")} == {
            key: config[key] for key in ("arm", "status", "key", "error")
        }
        assert (row["metric.seed"], row["metric.arm"]) == (3.0, 4.0)


def test_half_a_training_is_not_a_result(track, make_plan):
    study, plan = track(), make_plan(seeds=2)
    study.add_plan(plan)
    study.add_run(plan["trials"][0], 70.0, curve=(10.0, 60.0))
    study.add_run(plan["trials"][1], None, status="FAILED", curve=(10.0, 99.0))
    study.add_run(plan["trials"][2], None, status=None, curve=(10.0, 99.0))
    values = load_runs(study.uri, study.study)["metric.test_top1"]
    assert values[0] == 60.0
    assert values[1:].isna().all()


def test_a_diverged_metric_is_nan(track, make_plan):
    study, plan = track(), make_plan(seeds=1)
    study.add_plan(plan)
    study.add_run(plan["trials"][0], math.nan)
    assert math.isnan(load_runs(study.uri, study.study)["metric.test_top1_median10"][0])


@pytest.mark.parametrize("order", [("FINISHED", "FAILED"), ("FAILED", "FINISHED")])
def test_of_two_runs_of_a_cell_the_finished_one_counts(track, make_plan, order):
    """Two drivers that could not see each other may both have made a run."""
    study, plan = track(), make_plan(seeds=1)
    study.add_plan(plan)
    for status in order:
        tags = {names.LEVEL: "seed", names.KEY: plan["trials"][0]["key"]}
        study.client.set_terminated(study.client.create_run(study.experiment, tags=tags).info.run_id, status)
    assert load_runs(study.uri, study.study)["status"][0] == "done"


def test_runs_of_another_plan_are_left_out(track, make_plan):
    study, plan = track(), make_plan(seeds=1)
    study.add_plan(plan)
    study.add_run({**plan["trials"][0], "key": "of-another-plan"}, 99.0)
    assert (load_runs(study.uri, study.study)["status"] == "pending").all()


def test_the_plan_touched_last_is_the_default_and_any_can_be_named(track, make_plan):
    study = track()
    small, large = make_plan(seeds=1), make_plan(seeds=2)
    first = study.add_plan(small, "aaaa1111")
    study.add_plan(large, "bbbb2222")
    assert load_plan(study.uri, study.study) == large
    assert load_plan(study.uri, study.study, "aaaa") == small
    study.client.set_terminated(first)  # relaunched: its end is now the later one
    assert load_plan(study.uri, study.study) == small


def test_curves_take_the_later_value_of_a_repeated_epoch(track, make_plan):
    study, plan = track(), make_plan(arms=("baseline",), seeds=2)
    study.add_plan(plan)
    run = study.add_run(plan["trials"][0], 70.0, curve=(10.0, 20.0, 30.0))
    study.client.log_batch(run, [Metric("test_top1", 25.0, int(time.time() * 1000) + 1, 2)])
    curves = load_curves(study.uri, load_runs(study.uri, study.study), "test_top1")
    assert list(curves["epoch"]) == [1, 2, 3]
    assert list(curves["value"]) == [10.0, 25.0, 30.0]
    assert set(curves["arm"]) == {"baseline"}


def test_an_infinite_value_comes_back_as_one(track, make_plan):
    """MLflow's database holds 1.8e308 in its place, of which a mean and a test would be computed."""
    study, plan = track(), make_plan(arms=("baseline",), seeds=1)
    study.add_plan(plan)
    study.add_run(plan["trials"][0], math.inf, curve=(10.0, -math.inf))
    runs = load_runs(study.uri, study.study)
    assert runs["metric.test_top1_median10"].tolist() == [math.inf]
    assert load_curves(study.uri, runs, "test_top1")["value"].tolist() == [10.0, -math.inf]


def test_unknown_study_names_the_nearest(track, make_plan):
    study = track("ablation_cifar100")
    track("search_mixers")
    with pytest.raises(BadInput, match="no study 'ablaton_cifar10'; the nearest is 'ablation_cifar100'"):
        load_plan(study.uri, "ablaton_cifar10")
    with pytest.raises(BadInput, match=r"no plan in .*nothing was started yet"):
        load_plan(study.uri, "ablation_cifar100")
    study.add_plan(make_plan("ablation_cifar100"), "aaaa1111")
    with pytest.raises(BadInput, match="no plan 'ffff'; its plans, latest first: aaaa1111"):
        load_plan(study.uri, "ablation_cifar100", "ffff")


def test_a_plan_that_lacks_a_part_is_named(track, make_plan):
    study, plan = track(), make_plan()
    del plan["baseline"]
    study.add_plan(plan)
    with pytest.raises(BadInput, match="lacks baseline"):
        load_plan(study.uri, study.study)
