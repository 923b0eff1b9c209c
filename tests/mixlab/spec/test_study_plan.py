"""The plan of a study, as the analysis reads it."""

from dataclasses import replace

import pytest

from mixlab import Arm
from mixlab.spec.study_plan import require_plan, study_plan
from tests.mixlab.spec.minimal import STUDY, TRAIN

ARMS = (Arm("a", {}), Arm("b", {"lr": 0.2}), Arm("c", {"lr": 0.3}, against="b", control=True))


def test_a_plan_says_all_that_the_tables_need():
    study = replace(STUDY, base={"lr": 0.1, "epochs": 3}, arms=ARMS, factors={"net": ("x", "y")}, seeds=(7, 5))
    trials = study.trials(TRAIN)
    plan = study_plan(study, trials, "quick", TRAIN, {"seeds": [3]})
    rows = plan.pop("trials")
    assert plan == {
        "study": "toy",
        "preset": "quick",
        "factors": ["net"],
        "arms": ["a", "b", "c"],
        "baseline": "a",
        "against": {"b": "a", "c": "b"},
        "controls": ["c"],
        "design": None,
        "metric": "rmse_last",
        "metrics": [metric.json() for metric in TRAIN.metrics],
        "family": "study",
        "delta": None,
        "sequential": None,
        "looks": {"seeds": [3]},
        "config": {"epochs": 3},  # what all trials share
    }
    assert rows[:3] == [
        {"key": trials[0].key, "arm": "a", "levels": {"net": "x"}, "seed": 7},
        {"key": trials[1].key, "arm": "a", "levels": {"net": "x"}, "seed": 5},
        {"key": trials[2].key, "arm": "b", "levels": {"net": "x"}, "seed": 7},
    ]
    assert len(rows) == 12
    own = replace(study, metric="rmse", family="table", delta=0.5, sequential=True)
    told = study_plan(own, trials, "quick", TRAIN)
    assert (told["metric"], told["family"], told["delta"]) == ("rmse", "table", 0.5)
    assert (told["sequential"], told["looks"]) == ({"budget": 2}, {})


def test_a_plan_is_read_without_what_an_earlier_version_left_out_and_with_all_that_its_trials_name():
    plan = study_plan(STUDY, STUDY.trials(TRAIN), "paper", TRAIN)
    left = {name: part for name, part in plan.items() if part is not None and name != "family"}
    assert require_plan(plan | {"family": None}, "study") == left
    with pytest.raises(ValueError, match="a trial has no level of 'net'"):
        require_plan(plan | {"factors": ["net"]}, "study")
    with pytest.raises(ValueError, match="a trial is of the arm 'b', which the plan lacks"):
        require_plan(plan | {"arms": ["a"]}, "study")
