"""The findings of a search: what it claims, what it warns of, and where it looks."""

import math

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState, create_trial

from analysis.figures.search_plots import plot_map
from analysis.records.search_trials import SearchRecord, Tuned, position
from analysis.statistics.search_findings import Landscape, cautions, claims, comparable, explained_p, landscape
from tests.analysis.tuned_arms import ARMS, DISTRIBUTIONS, SPACE, peaked, points, trial, tuned


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.statistics.search_findings.RESAMPLES", 1)  # each fits a forest


def test_where_most_were_stopped_early_all_are_compared_at_the_epoch_that_all_reached() -> None:
    trials = []
    for place, params in enumerate(points(40, 0)):
        curve = {1: peaked(params), **({2: 100.0 - peaked(params)} if place < 3 else {})}
        trials.append(
            create_trial(
                state=TrialState.COMPLETE if place < 3 else TrialState.PRUNED,
                value=curve[max(curve)],
                params=params,
                distributions=DISTRIBUTIONS,
                intermediate_values=curve,
            )
        )
    seen = landscape(tuned(trials))
    assert (seen.of.epoch, len(seen.of.trials)) == (1, 40)
    assert seen.importance.loc["zeta", "importance"] > 0.8
    assert seen.p < 0.05


def test_the_map_marks_the_best_where_it_is() -> None:
    arm = tuned([trial(p, peaked(p)) for p in points(20, 0)])
    axis = plot_map(arm, "zeta", "alpha", "val_top1").axes[0]
    star = next(line for line in axis.lines if line.get_label() == "best")
    where = {axis.get_xlabel(): star.get_xdata()[0], axis.get_ylabel(): star.get_ydata()[0]}
    assert arm.best is not None
    assert where == arm.best.params


@pytest.mark.parametrize(("zeta", "end"), [(0.0505, "low end is 0.05"), (1.98, "high end is 2")])
def test_a_best_on_the_border_is_warned_of(zeta: float, end: str) -> None:
    inside = [trial(p, 10.0) for p in points(10, 0)]
    at_border = [*inside, trial({"zeta": zeta, "alpha": 1.0}, 20.0)]
    safe = [*inside, trial({"zeta": 0.4, "alpha": 1.0}, 20.0)]
    record = SearchRecord({}, [tuned(at_border), tuned(safe, "mixup")])
    warned = [caution for caution in cautions(record, []) if "border" in caution]
    assert len(warned) == 1
    assert warned[0].startswith("cutmix: the best zeta")
    assert end in warned[0]


@pytest.mark.parametrize(("failed", "warned"), [(4, False), (5, True)])
def test_a_quarter_of_failures_is_warned_of(failed: int, warned: bool) -> None:
    some = [trial(p, peaked(p)) for p in points(15, 0)]
    some += [trial(p, None, TrialState.FAIL) for p in points(failed, 1)]
    found = cautions(SearchRecord({}, [tuned(some)]), [])
    assert any(f"{failed} of {15 + failed} trials failed" in caution for caution in found) == warned


def test_too_few_trials_claim_no_importance() -> None:
    arm = tuned([trial(p, peaked(p)) for p in points(6, 0)])
    record, seen = SearchRecord({}, [arm]), landscape(arm)
    assert seen.importance.empty
    assert claims(record, {"cutmix": seen}, []) == []
    assert any("6 trials can be compared, too few to say" in caution for caution in cautions(record, []))


def test_parameters_under_a_condition_are_named_as_left_out() -> None:
    space = {"term": {"kind": "Choice", "values": ["s", "su"], "when": {}}, **SPACE}
    some = [trial({**p, "term": "su"}, peaked(p)) for p in points(20, 0)]
    some += [trial({"alpha": p["alpha"], "term": "s"}, 50.0) for p in points(20, 1)]
    seen = landscape(tuned(some, space=space))
    assert seen.left_out == ["zeta"]
    assert set(seen.importance.index) == {"term", "alpha"}


def test_cautions_count_what_has_not_ended() -> None:
    some = [trial(p, peaked(p)) for p in points(12, 0)]
    running = create_trial(state=TrialState.RUNNING, params={}, distributions={})
    found = cautions(SearchRecord({}, [tuned([*some, running])]), [])
    assert any("1 trial has not ended" in caution for caution in found)


def test_positions_are_on_the_scale_of_the_range() -> None:
    assert position(SPACE["zeta"], math.sqrt(0.05 * 2)) == pytest.approx(0.5)
    assert position({"low": 1, "high": 3, "log": False}, 1.5) == pytest.approx(0.25)


@pytest.mark.slow
def test_a_decisive_parameter_is_claimed_with_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.statistics.search_findings.RESAMPLES", 10)
    arms = [tuned([trial(p, peaked(p)) for p in points(40, place)], arm) for place, arm in enumerate(ARMS)]
    seen = {arm.name: landscape(arm) for arm in arms}
    claimed = claims(SearchRecord({}, arms), seen, [])
    for arm in ARMS:
        table = seen[arm].importance
        assert list(table.index) == ["zeta", "alpha"]
        assert table["importance"].sum() == pytest.approx(1)
        assert table.loc["zeta", "importance"] > 0.8
        assert table.loc["zeta", "low"] > table.loc["alpha", "high"]
        assert (table["low"] <= table["high"]).all()
        assert any(arm in claim and "zeta" in claim and claim.endswith("zeta most.") for claim in claimed)


# The importances of two parameters, on which no claim depends.
SOME = pd.DataFrame({"importance": [0.6, 0.4], "low": [0.5, 0.3], "high": [0.7, 0.5]}, index=list(SPACE))


@pytest.mark.slow
def test_on_a_null_objective_nothing_is_claimed() -> None:
    """At most 3 of 20 searches of two arms in pure noise claim anything: each may with probability 0.05."""
    claimed = 0
    for repetition in range(20):
        rng = np.random.default_rng(repetition)
        arms = []
        for _ in ARMS:
            study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=repetition))
            for _ in range(30):
                asked = study.ask(DISTRIBUTIONS)
                study.tell(asked, float(rng.normal(60, 1)))
            arms.append(study)
        tuned = [Tuned(name, study, SPACE) for name, study in zip(ARMS, arms, strict=True)]
        seen = {arm.name: Landscape(of := comparable(arm), SOME, [], explained_p(arm, of, rng)) for arm in tuned}
        claimed += bool(claims(SearchRecord({}, tuned), seen, []))
    assert claimed <= 3


def test_one_trial_is_told_of_in_the_singular() -> None:
    (point,) = points(1, 0)
    arm = tuned([trial(point, 60.0), create_trial(state=TrialState.RUNNING)])
    said = cautions(SearchRecord({}, [arm]), [])
    assert "cutmix: 1 trial has not ended." in said
    assert (
        "cutmix: 1 trial can be compared, too few to say how the parameters act; at least 10 would be needed." in said
    )
