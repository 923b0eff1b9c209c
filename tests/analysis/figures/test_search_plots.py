"""The figures of a search: what they show, in words and numbers that one can read."""

import itertools
from collections.abc import Iterable

import numpy as np
import optuna
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from optuna.trial import TrialState

from analysis.figures.search_plots import COLOUR, plot_history, plot_importance, plot_map, plot_parallel, plot_slices
from analysis.records.search_trials import Tuned, position
from analysis.statistics.importance import Landscape, comparable
from tests.analysis.figures.reading import texts
from tests.analysis.tuned_arms import SPACE, peaked, points, trial, tuned

MIXERS = ["cutmix", "saliencymix", "puzzlemix", "fmix"]
WIDE = {
    **SPACE,
    "lr": {"kind": "Float", "low": 1e-4, "high": 0.5, "log": True, "step": None},
    "batch_size": {"kind": "Int", "low": 32, "high": 512, "log": True, "step": 1},
    "warmup": {"kind": "Int", "low": 0, "high": 20, "log": False, "step": 1},
    "mixer": {"kind": "Choice", "values": MIXERS},
}


def wide(trials: int, direction: str = "maximize") -> Tuned:
    """Return an arm with a parameter of every kind."""
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=0))

    def value(each: optuna.Trial) -> float:
        for name, spec in WIDE.items():
            if spec["kind"] == "Choice":
                each.suggest_categorical(name, spec["values"])
            else:
                ask = each.suggest_int if spec["kind"] == "Int" else each.suggest_float
                ask(name, spec["low"], spec["high"], log=spec["log"])
        return peaked(each.params)

    study.optimize(value, n_trials=trials)
    return Tuned("cutmix", study, WIDE)


def no_two_overlap(found: Iterable[Text]) -> bool:
    boxes = [text.get_window_extent() for text in found if text.get_text()]
    return len(boxes) > 1 and not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def names(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.subfigs[0].legends[0].get_texts()]


def test_the_history_steps_to_the_best_complete_trial_and_names_what_was_stopped_early():
    early = trial({"zeta": 0.4, "alpha": 1.0}, 70.0, TrialState.PRUNED)
    arm = tuned([trial(p, value) for p, value in zip(points(3, 0), (60.0, 59.0, 62.0), strict=True)] + [early])
    figure = plot_history(arm, "val_top1")
    assert names(figure) == ["complete", "best so far", "stopped early: last value"]
    step = figure.axes[0].lines[1]
    assert (step.get_drawstyle(), list(step.get_ydata())) == ("steps-post", [60, 60, 62, 62])
    assert list(step.get_xdata()) == [0, 1, 2, 3]
    for said in ("cross: one that was stopped early, at its last value", "4 trials: 3 complete, 1 stopped early."):
        assert said in texts(figure)
    lower = Tuned("cutmix", optuna.create_study(direction="minimize"), SPACE)
    lower.study.add_trials(arm.complete)
    figure = plot_history(lower, "loss")
    assert list(figure.axes[0].lines[1].get_ydata()) == [60, 59, 59, 59]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("trial", "loss")
    assert "cross" not in texts(figure)


def test_the_map_marks_the_best_where_it_is():
    arm = tuned([trial(p, peaked(p)) for p in points(20, 0)])
    axis = plot_map(arm, "zeta", "alpha", "val_top1").axes[0]
    star = next(line for line in axis.lines if line.get_label() == "best")
    where = {axis.get_xlabel(): star.get_xdata()[0], axis.get_ylabel(): star.get_ydata()[0]}
    assert where == arm.best.params


def test_the_map_shows_any_name_and_no_hills_where_all_are_equal():
    for count, value, said in (
        (4, None, "Colour: interpolated between complete trials."),
        (3, None, "No contour, as too few complete trials have both."),
        (4, 50.1, "No contour, as all complete trials have the same value."),
    ):
        arm = tuned([trial(p, value or peaked(p)) for p in points(count, 0)], "costs $5 or $6_")
        figure = plot_map(arm, "zeta", "alpha", "val_top1")
        assert figure.subfigs[0].get_suptitle() == "costs $5 or $6_"
        assert said in texts(figure)


def test_the_map_has_the_look_of_all_figures_and_its_numbers_are_not_formulas():
    """Optuna's own style is grey, with powers of ten on logarithmic axes."""
    states = *[TrialState.COMPLETE] * 6, TrialState.PRUNED, TrialState.FAIL
    trials = [trial(p, peaked(p), state) for p, state in zip(points(8, 0), states, strict=True)]
    figure = plot_map(tuned(trials), "zeta", "alpha", "validation top-1, %")
    axis, bar = figure.axes
    white = 40**0.03  # both ranges span a factor of 40
    assert axis.get_xlim() == pytest.approx((0.1 / white, 4 * white))
    assert axis.get_ylim() == pytest.approx((0.05 / white, 2 * white))
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0.05", "0.1", "0.2", "0.3", "0.5", "1", "2"]
    assert axis.get_facecolor() == (1, 1, 1, 1)
    assert bar.get_ylabel() == "validation top-1, %"
    assert names(figure) == ["complete", "stopped early", "failed", "best"]


@pytest.mark.slow
def test_the_numbers_below_a_map_do_not_run_into_each_other(painted):
    """Those of a learning rate from 0.001 to 1 did."""
    ends = {"alpha": {"low": 1e-3, "high": 1}, "zeta": {"low": 1e-6, "high": 1e-2}}
    arm = tuned([trial(p, peaked(p)) for p in points(8, 0)], space={key: SPACE[key] | ends[key] for key in SPACE})
    figure = plot_map(arm, "alpha", "zeta", "validation top-1, %")
    figure.draw_without_rendering()
    assert no_two_overlap(figure.axes[0].get_xticklabels())


@pytest.mark.slow
def test_slices_show_the_whole_space_in_numbers_that_do_not_run_into_each_other(painted):
    figure = plot_slices(arm := wide(9), "validation top-1 accuracy, %")
    figure.draw_without_rendering()
    axes, bar = figure.axes[: len(WIDE)], figure.axes[-1]
    assert [axis.get_xlabel() for axis in axes] == list(WIDE)
    for row in axes[:3], axes[3:-1]:  # the names of mixers are turned
        assert no_two_overlap(label for axis in row for label in axis.get_xticklabels())
    shown = [[label.get_text() for label in axis.get_xticklabels()] for axis in axes]
    assert shown[2:] == [["0.0001", "0.001", "0.01", "0.1"], ["100", "300"], ["0", "5", "10", "15", "20"], MIXERS]
    assert all(axis.get_xlim()[0] < 0 < 1 < axis.get_xlim()[1] for axis in axes)
    for axis, (name, spec) in zip(axes[:2], SPACE.items(), strict=True):
        drawn = [(position(spec, each.params[name]), each.value) for each in arm.complete]
        np.testing.assert_allclose(axis.collections[0].get_offsets(), drawn)
    assert all(tick == int(tick) for tick in bar.get_yticks())  # there is no trial 0.25
    assert "the darker, the later. 9 trials: 9 complete." in texts(figure)


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_parallel_coordinates_are_read_at_every_axis_and_the_best_is_the_darkest(painted, direction):
    """The numbers of Optuna's lay under the lines, and its worst trial was white on white."""
    arm = wide(9, direction)
    figure = plot_parallel(arm, "validation top-1 accuracy, %")
    figure.draw_without_rendering()
    (axis,) = figure.axes
    lines = [line for line in axis.lines if len(line.get_xdata()) == 1 + len(WIDE)]
    light = [sum(to_rgb(line.get_color())) / 3 for line in lines]
    assert light == sorted(light, reverse=True)  # the best is drawn last, over all others
    assert light[0] < 0.9
    best = lines[-1].get_ydata()
    assert best[0] == (direction == "maximize")
    assert best[-1] == MIXERS.index(arm.best.params["mixer"]) / 3
    assert no_two_overlap(axis.texts)
    assert no_two_overlap(axis.get_xticklabels())
    assert {text.get_text() for text in axis.texts} >= {*MIXERS, "0.001", "100", "15"}


def test_importance_is_grey_where_nothing_is_claimed():
    arm = tuned([trial(p, peaked(p)) for p in points(3, 0)])
    shares = pd.DataFrame({"importance": [0.8, 0.2], "low": [0.7, 0.1], "high": [0.9, 0.3]}, list(SPACE))
    for claimed in (True, False):
        figure = plot_importance(arm, Landscape(comparable(arm), shares, [], 0.03), claimed=claimed)
        assert ("Grey: nothing here is shown to be beyond chance." in texts(figure)) != claimed
        bar = "Bar: fANOVA without interactions, scaled to a sum of 1; line: 95 % interval, jackknife."
        assert f"Of complete trials. {bar}" in texts(figure)
        (axis,) = figure.axes
        assert [label.get_text() for label in axis.get_yticklabels()] == list(SPACE)[::-1]
        assert [patch.get_width() for patch in axis.patches] == [0.2, 0.8]
        assert {to_hex(patch.get_facecolor()) for patch in axis.patches} == {COLOUR.lower() if claimed else "#999999"}
        assert [list(line.get_xdata()) for line in axis.lines] == [[0.1, 0.3], [0.7, 0.9]]
