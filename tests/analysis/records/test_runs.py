"""The runs of a study are read from a real MLflow store."""

import json
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
from tests.analysis.planned import make_plan


@pytest.fixture(scope="module")
def tracked(track_in, tmp_path_factory):
    """Return a study with runs of every kind, which no test changes, and its plan."""
    study, plan = track_in(tmp_path_factory.mktemp("tracked")), make_plan(seeds=4)
    study.add_plan(plan)
    done, failed, running, interrupted, diverged, infinite, *doubled = plan["trials"][:8]
    run = study.add_run(
        done, 70.25, curve=(10.0, 20.0, 60.0), tags={"mixlab.dirty": "true and then false", "mixlab.hardware": "a GPU"}
    )
    study.client.log_batch(run, [Metric("test_top1", 25.0, int(time.time() * 1000) + 1, 2)])
    study.add_run(failed, None, status="FAILED", tags={"mixlab.error": "RuntimeError: loss is NaN"}, curve=(10.0, 99.0))
    study.add_run(running, None, status=None, curve=(10.0, 99.0))
    study.add_run(interrupted, None, status="KILLED")
    study.add_run(diverged, math.nan)
    study.add_run(infinite, math.inf, curve=(10.0, -math.inf))
    # Two drivers that could not see each other may both have made a run.
    for trial, statuses in zip(doubled, (("FINISHED", "FAILED"), ("FAILED", "FINISHED")), strict=True):
        for status in statuses:
            run = study.client.create_run(study.experiment, tags={names.LEVEL: "seed", names.KEY: trial["key"]})
            study.client.set_terminated(run.info.run_id, status)
    study.add_run({**plan["trials"][8], "key": "of-another-plan"}, 99.0)
    return study, plan


def test_every_planned_cell_is_a_row_whatever_became_of_it(tracked):
    study, plan = tracked
    runs = load_runs(study.uri, study.study)
    assert list(runs["key"]) == [trial["key"] for trial in plan["trials"]]
    assert list(runs["arm"]) == ["baseline"] * 4 + ["+ lam"] * 4 + ["+ l_s"] * 4
    assert list(runs["seed"]) == [0, 1, 2, 3] * 3
    ends = ["done", "failed", "running", "interrupted", "done", "done", "done", "done"]
    assert list(runs["status"]) == [*ends, *["pending"] * 4]  # runs of another plan do not count
    assert list(runs["error"]) == ["", "RuntimeError: loss is NaN", *[""] * 10]
    assert set(runs["factor.mixer"]) == {"cutmix"}
    first = runs.iloc[0]
    found = (first["commit"], first["dirty"], first["data"], first["hardware"], first["epochs"])
    assert found == ("0123456789abcdef", True, "feedc0de", "a GPU", 20)
    assert (first["config.backbone"], runs["config.backbone"].iloc[-1]) == ("resnet20", "")
    assert pd.isna(runs["epochs"].iloc[-1])


def test_half_a_training_is_not_a_result_and_what_is_not_finite_comes_back(tracked):
    """MLflow's database holds 1.8e308 in place of infinity, of which a mean and a test would be computed."""
    study, _ = tracked
    runs = load_runs(study.uri, study.study)
    assert runs["metric.test_top1"][0] == 60.0
    assert runs["metric.test_top1"][1:4].isna().all()
    assert list(runs["metric.test_top1_median10"][[0, 5]]) == [70.25, math.inf]
    assert math.isnan(runs["metric.test_top1_median10"][4])


def test_curves_take_the_later_value_of_a_repeated_epoch(tracked):
    study, _ = tracked
    curves = load_curves(study.uri, load_runs(study.uri, study.study), "test_top1")
    by_cell = {
        cell: list(zip(rows["epoch"], rows["value"], strict=True)) for cell, rows in curves.groupby(["arm", "seed"])
    }
    assert by_cell["baseline", 0] == [(1, 10.0), (2, 25.0), (3, 60.0)]
    assert by_cell["+ lam", 1] == [(1, 10.0), (2, -math.inf)]


def test_a_configuration_and_a_metric_may_have_the_names_of_columns(track):
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


def test_the_plan_touched_last_is_the_default_and_any_can_be_named(track):
    study = track()
    small, large = make_plan(seeds=1), make_plan(seeds=2)
    first = study.add_plan(small, "aaaa1111")
    study.add_plan(large, "bbbb2222")
    assert load_plan(study.uri, study.study) == large
    assert load_plan(study.uri, study.study, "aaaa") == small
    study.client.set_terminated(first)  # relaunched: its end is now the later one
    assert load_plan(study.uri, study.study) == small


def test_what_is_no_study_or_has_no_such_plan_is_a_sentence(track):
    """The search has no winners yet, and so is no study."""
    study, search = track("ablation_cifar100"), track("search_mixers")
    with pytest.raises(BadInput, match="no study 'ablaton_cifar10'; did you mean 'ablation_cifar100'"):
        load_plan(study.uri, "ablaton_cifar10")
    with pytest.raises(BadInput, match=r"no plan in .*nothing was started yet"):
        load_plan(study.uri, "ablation_cifar100")
    study.add_plan(make_plan("ablation_cifar100", seeds=1), "aaaa1111")
    with pytest.raises(BadInput, match="no plan 'ffff'; its plans, latest first: aaaa1111"):
        load_plan(study.uri, "ablation_cifar100", "ffff")
    run = study.client.create_run(study.experiment, tags={names.LEVEL: "study", names.PLAN: "bbbb2222"})
    with pytest.raises(
        BadInput, match=rf"the plan of study 'ablation_cifar100' \(run {run.info.run_id}\) lacks its file"
    ):
        load_plan(study.uri, "ablation_cifar100", "bbbb")
    search.client.create_run(search.experiment, tags={names.LEVEL: "search"})
    with pytest.raises(BadInput, match=r"search 'ablation_cifar100' has no plan in .*: it is a study, which"):
        load_plan(study.uri, "ablation_cifar100", level="search")
    with pytest.raises(BadInput, match=r"study 'search_mixers' has no plan in .*: it is a search, whose winners"):
        load_plan(search.uri, "search_mixers")


def test_a_part_of_a_plan_that_is_null_is_one_that_it_lacks(track):
    """Each reader of a plan has its own default for a part that is missing; null gets it too."""
    study, plan = track(), make_plan(seeds=1)
    nothing = dict.fromkeys(("delta", "design", "sequential", "family", "against", "looks"))
    study.client.log_text(study.add_plan(plan), json.dumps({**plan, **nothing}), "plan.json")
    assert load_plan(study.uri, study.study) == {name: part for name, part in plan.items() if name not in nothing}
    assert load_runs(study.uri, study.study)["status"].tolist() == ["pending"] * len(plan["trials"])
