"""A ratio divides by the reference arm's run of the same seed."""

import math

import pytest

from analysis.ablation_table import with_ratios
from analysis.statistics.tables import level_tables


def test_each_run_is_divided_by_its_references_run_of_the_seed(make_plan, planned_runs):
    plan = make_plan(arms=("baseline", "+ lam", "+ l_s"), seeds=2)
    plan["against"] = {"+ lam": "baseline", "+ l_s": "+ lam"}
    runs = planned_runs(plan, {(arm, seed): 70.0 for arm in plan["arms"] for seed in range(2)})
    seconds = {
        **{("baseline", 0): 2.0, ("baseline", 1): 4.0},
        **{("+ lam", 0): 3.0, ("+ lam", 1): 5.0},
        **{("+ l_s", 0): 6.0, ("+ l_s", 1): math.nan},
    }
    runs["metric.step_seconds"] = [seconds[cell] for cell in zip(runs["arm"], runs["seed"], strict=True)]
    (level,) = level_tables(runs, plan)
    ratios = with_ratios(level, {"step_seconds": {}}).runs.set_index(["arm", "seed"])["metric.step_seconds_ratio"]
    assert list(ratios["baseline"]) == [1, 1]
    assert list(ratios["+ lam"]) == pytest.approx([1.5, 1.25])
    assert ratios["+ l_s"][0] == 2
    assert math.isnan(ratios["+ l_s"][1])
