"""The figure of accuracy against time shows the means of both, in a unit that suits them."""

import itertools
import math

import numpy as np
import pytest

from analysis.figures.plots import plot_cost
from analysis.statistics.tables import level_tables
from tests.analysis.figures.reading import texts
from tests.analysis.planned import make_plan, planned_runs


def test_marks_stand_at_the_means_and_bars_end_at_the_lowest_and_the_highest_seed():
    plan = make_plan(arms=("baseline", "+ lam"), seeds=3)
    runs = planned_runs(plan, lambda arm, seed: 70.0 + 2 * (arm == "+ lam") + (0, 1, 5)[seed])
    assert plot_cost("tiny", level_tables(runs, plan)) is None
    runs["metric.train_seconds_total"] = [12.0, 18.0, 60.0, 6.0, 9.0, 30.0]  # minutes suit the longest
    figure = plot_cost("tiny", level_tables(runs, plan))
    (axis,) = figure.subfigs[0].axes
    drawn = [
        (c.lines[0].get_xydata(), *(bar for bars in c.lines[2] for bar in bars.get_segments())) for c in axis.containers
    ]
    np.testing.assert_allclose(
        [np.concatenate(each) for each in drawn],
        [
            [(x, y), (low, y), (high, y), (x, y - 2), (x, y + 3)]
            for x, y, low, high in ((0.5, 72, 0.2, 1), (0.25, 74, 0.1, 0.5))
        ],
    )
    assert axis.get_xlabel() == "training time of a run, minutes"
    assert "Trained on a CPU." in texts(figure)
    runs.loc[0, "hardware"] = "a GPU"
    assert "The runs differ in hardware." in texts(plot_cost("tiny", level_tables(runs, plan)))


def test_equal_seeds_have_no_bars_though_their_mean_is_rounded():
    plan = make_plan(arms=("baseline",), seeds=3)
    seconds = {"metric.train_seconds_total": 0.1}  # the mean of three is 0.10000000000000002
    runs = planned_runs(plan, lambda *_: 0.35, **seconds, hardware="")  # that of these is 0.3499999999999999
    figure = plot_cost("tiny", level_tables(runs, plan))
    (mark,) = figure.subfigs[0].axes[0].containers
    bars = [end for lines in mark.lines[2] for (segment,) in [lines.get_segments()] for end in segment.ravel()]
    assert bars == pytest.approx([0.1, 0.35] * 4)
    assert figure.subfigs[0].axes[0].get_xlabel() == "training time of a run, seconds"
    assert "bars: lowest to highest seed. cifar10, " in texts(figure)  # no run says what trained it
    alone = level_tables(runs[runs["seed"] == 0], make_plan(arms=("baseline",), seeds=1))
    assert "one seed, so no bars" in texts(plot_cost("tiny", alone))


def test_a_seed_that_has_diverged_does_not_take_its_arm_s_mark():
    plan = make_plan(arms=("baseline", "+ lam", "diverged", "untimed"), seeds=2)
    values = dict.fromkeys(itertools.product(plan["arms"], range(2)), 70.0)
    values |= {("baseline", 1): 71.0, ("+ lam", 1): math.inf, ("diverged", 0): math.inf, ("diverged", 1): math.inf}
    runs = planned_runs(plan, values)
    runs["metric.train_seconds_total"] = [math.nan if arm == "untimed" else 60.0 for arm in runs["arm"]]
    figure = plot_cost("tiny", level_tables(runs, plan))
    assert [c.lines[0].get_ydata()[0] for c in figure.subfigs[0].axes[0].containers] == [70.5, 70.0]
    named = [text.get_text() for text in figure.subfigs[0].legends[0].get_texts()]
    assert named == ["baseline", "+ lam", "diverged: no value", "untimed: no value"]
