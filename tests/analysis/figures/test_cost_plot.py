"""The figure of accuracy against time shows the means of both, in a unit that suits them."""

import math

import pytest

from analysis.figures.plots import plot_cost
from analysis.statistics.tables import level_tables
from tests.analysis.figures.test_forest import texts
from tests.analysis.planned import make_plan, planned_runs


def test_marks_stand_at_the_means():
    plan = make_plan(arms=("baseline", "+ lam"), seeds=2)
    runs = planned_runs(plan, {("baseline", 0): 70.0, ("baseline", 1): 71.0, ("+ lam", 0): 72.0, ("+ lam", 1): 74.0})
    assert plot_cost("tiny", level_tables(runs, plan)) is None
    runs["metric.train_seconds_total"] = [60.0, 120.0, 180.0, 240.0]  # minutes suit them
    figure = plot_cost("tiny", level_tables(runs, plan))
    (axis,) = figure.subfigs[0].axes
    marks = [container.lines[0].get_xydata()[0].tolist() for container in axis.containers]
    assert marks == [pytest.approx([1.5, 70.5]), pytest.approx([3.5, 73.0])]
    assert figure.subfigs[0].get_supxlabel() == "training time of a run, minutes"


def test_equal_seeds_have_no_bars_though_their_mean_is_rounded():
    plan = make_plan(arms=("baseline",), seeds=3)
    seconds = {"metric.train_seconds_total": 0.1}  # the mean of three is 0.10000000000000002
    runs = planned_runs(plan, lambda *_: 70.1, **seconds)
    figure = plot_cost("tiny", level_tables(runs, plan))
    (mark,) = figure.subfigs[0].axes[0].containers
    bars = [end for lines in mark.lines[2] for (segment,) in [lines.get_segments()] for end in segment.ravel()]
    assert bars == pytest.approx([0.1, 70.1] * 4)
    assert "bars: lowest to highest seed" in texts(figure)
    alone = level_tables(runs[runs["seed"] == 0], make_plan(arms=("baseline",), seeds=1))
    assert "one seed, so no bars" in texts(plot_cost("tiny", alone))


def test_a_seed_that_has_diverged_does_not_take_its_arm_s_mark():
    plan = make_plan(arms=("baseline", "+ lam"), seeds=2)
    values = {("baseline", 0): 70.0, ("baseline", 1): 71.0, ("+ lam", 0): 72.0, ("+ lam", 1): math.inf}
    runs = planned_runs(plan, values, **{"metric.train_seconds_total": 60.0})
    figure = plot_cost("tiny", level_tables(runs, plan))
    assert [c.lines[0].get_ydata()[0] for c in figure.subfigs[0].axes[0].containers] == [70.5, 72.0]
