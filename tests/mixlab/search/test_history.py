"""The history of a search: equal budgets, trials that are stopped or fail, and what is never trained twice."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from mixlab import Arm, Choice, Float, Int, Options
from mixlab.cluster.source import End
from mixlab.launching.left_of_search import left_of_search
from mixlab.launching.plan import print_plan
from mixlab.launching.start import Start
from mixlab.search.history import ERROR, KEY, History
from mixlab.search.trial_store import OUTCOMES, TrialStore, best_of, standing, url_of
from mixlab.spec.search import ANSWER, TWIN
from mixlab.spec.trial import State
from tests.mixlab.search_toy import TRAIN, InMemory, accuracy, distance, proposed, run, search, states, store_of


def test_every_arm_gets_the_same_trials_however_good_it_is():
    history = History(search(budget=30, scheduler="none", sampler="random"), TRAIN, InMemory())
    order: list[str] = []

    def much_better_in_one(config: Mapping[str, Any], epoch: int) -> float:
        if epoch == 1:
            order.append(config["arm"])
        return accuracy(config, epoch) + 50 * (config["arm"] == "high")

    run(history, much_better_in_one)
    assert {arm: len(history.trials(arm)) for arm in history.arms} == {"low": 15, "high": 15}
    # They take turns, so that a driver that is stopped leaves a fair half.
    assert all({*order[place : place + 2]} == {"low", "high"} for place in range(0, 30, 2))


def trials_of(history: History) -> list[FrozenTrial]:
    return [trial for arm in history.arms for trial in history.trials(arm)]


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "median"])
def test_stopped_trials_spare_epochs_are_pruned_with_their_last_value_and_are_never_the_best(scheduler):
    history = History(search(scheduler=scheduler, budget=60, sampler="random"), TRAIN, InMemory())
    assert run(history) < 0.7 * 60 * 27
    pruned = [trial for trial in trials_of(history) if trial.state == TrialState.PRUNED]
    complete = [trial for trial in trials_of(history) if trial.state == TrialState.COMPLETE]
    assert len(pruned) + len(complete) == 60
    assert len(pruned) >= 10
    assert max(trial.last_step for trial in pruned) < 27
    assert {trial.last_step for trial in complete} == {27}
    assert all(trial.value == trial.intermediate_values[trial.last_step] for trial in (*pruned, *complete))
    for arm in history.arms:
        best = history.best(arm)
        assert best.state == TrialState.COMPLETE
        assert best.value == max(t.value for t in history.trials(arm) if t.state == TrialState.COMPLETE and t.value)
        assert 60 * distance(best.params) ** 2 < 3  # percentage points below the optimum


def test_arms_are_never_pruned_for_being_worse_than_another_arm():
    """One arm is far worse than the other: with shared rungs it would never be trained to the end."""
    history = History(search(budget=40, sampler="random"), TRAIN, InMemory())
    run(history, lambda config, epoch: accuracy(config, epoch) - 60 * (config["arm"] == "low"))
    for arm in history.arms:
        assert states(history, arm).count("COMPLETE") >= 2


@pytest.mark.parametrize(
    ("failures", "answer", "said"), [(2, False, "2 of the search's 8 trials failed"), (1, False, ""), (8, True, "")]
)
def test_failures_are_recorded_and_a_quarter_of_them_fails_the_search(failures, answer, said):
    end = End(State.FAILED, error=f"Traceback\n  {'x' * 600}\nValueError: said by whoever", answer=answer)
    history = History(search(budget=8, scheduler="none"), TRAIN, InMemory())
    source = proposed(history)
    for number in range(8):
        source.ended(source.next(2).trial, end if number < failures else End(State.DONE, 1.0))
    assert said in source.failing()
    assert bool(said) == bool(source.failing())
    assert source.counts() == f"8/8 tried, {failures} failed"
    failed = [trial.user_attrs[ERROR] for trial in trials_of(history) if trial.state == TrialState.FAIL]
    assert [(len(error), error.endswith("said by whoever")) for error in failed] == [(500, True)] * failures


def test_the_same_configuration_twice_is_trained_once():
    space = {"zeta": Choice(0.1, 0.2)}
    spec = search(base={"alpha": 1.0}, space=space, budget=20, sampler="random", scheduler="none")
    history = History(spec, TRAIN, InMemory())
    assert run(history) == 2 * 2 * 27
    for arm in history.arms:
        trials = history.trials(arm)
        assert len(trials) == 10
        assert sum(TWIN in trial.user_attrs for trial in trials) == 8
        for trial in trials:
            assert trial.value == pytest.approx(accuracy({**trial.params, "alpha": 1.0}, 27))
            assert trials[trial.user_attrs.get(TWIN, trial.number)].params == trial.params


@pytest.mark.parametrize(
    ("outcome", "error", "answer"),
    [(State.PRUNED, "", False), (State.FAILED, "it diverged", True), (State.FAILED, "the worker crashed", False)],
)
def test_a_twin_ends_as_the_trial_that_was_trained(outcome, error, answer):
    arms = (Arm("low", {"arm": "low"}),)
    spec = search(arms=arms, base={"alpha": 1.0}, space={"zeta": Choice(0.1, 0.2)}, budget=10, sampler="random")
    history = History(spec, TRAIN, InMemory())
    while claim := history.claim():
        history.report(claim, 1, 70.0)
        history.tell(claim, outcome, error=error, answer=answer)
    assert history.finished()
    assert sum(TWIN in trial.user_attrs for trial in history.trials("low")) == 8
    for trial in history.trials("low"):
        assert (OUTCOMES[trial.state], trial.intermediate_values) == (outcome, {1: 70.0})
        assert (trial.user_attrs.get(ERROR, ""), ANSWER in trial.user_attrs) == (error, answer)


@pytest.mark.parametrize("kind", ["journal", pytest.param("sqlite", marks=pytest.mark.slow)])
def test_what_failed_by_a_fault_is_tried_again_once_a_start_in_its_place_and_an_answer_is_not(kind, tmp_path):
    arms = (Arm("low", {"arm": "low"}),)
    spec = search(arms=arms, base={"alpha": 1.0}, space={"zeta": Choice(0.1, 0.2)}, budget=8, sampler="random")
    fault, answer = End(State.FAILED, error="no room"), End(State.FAILED, error="it diverged", answer=True)
    tried = []
    for of_low_zeta in (fault, fault, End(State.DONE, 1.0), None):
        history = History(spec, TRAIN, store_of(kind, tmp_path))
        history.retry_faults()
        source = proposed(history)
        while job := source.next(9):
            tried.append(job.trial.config["zeta"])
            source.ended(job.trial, of_low_zeta if job.trial.config["zeta"] == 0.1 else answer)
        assert source.over()
        assert source.counts().startswith("8/8 tried, ")
        assert bool(source.failing()) == (of_low_zeta is fault)
    assert sorted(tried) == [0.1, 0.1, 0.1, 0.2]  # the others are twins
    stand = standing(history.trials("low"))
    assert {(trial.params["zeta"], trial.state.name) for trial in stand} == {(0.1, "COMPLETE"), (0.2, "FAIL")}


@pytest.mark.parametrize(
    ("epochs", "seeds", "sequential", "first"),
    [
        *((32.0, (1,), sequential, 2) for sequential in (False, True)),
        *((epochs, (1,), False, 1) for epochs in (None, "all", math.inf)),  # what a user's trainable may take
        (32, (1, 2), False, 4),
        (32, (1, 2), True, 2),  # in a race, a trial may be spared the epochs of its first seed alone
    ],
)
def test_a_scheduler_waits_for_a_sixteenth_of_the_epochs_that_it_may_spare(epochs, seeds, sequential, first):
    arms = (Arm("low", {"arm": "low"}),)
    spec = search(base={"epochs": epochs}, arms=arms, scheduler="asha", search_seeds=seeds)
    history = History(replace(spec, study=replace(spec.study, sequential=sequential)), TRAIN, InMemory())
    good, bad = history.claim(), history.claim()
    stopped = []
    for epoch, (claim, value) in itertools.product(range(1, 5), ((good, 9.0), (bad, 1.0))):
        history.report(claim, epoch, value)
        if claim.trial_in_optuna.should_prune():
            stopped.append((claim, epoch))
    assert stopped[0] == (bad, first)


def test_a_trial_keeps_the_key_with_which_an_earlier_version_began_it():
    """Under another one, MLflow would get a second run of the trial."""
    history = History(search(budget=2), TRAIN, InMemory())
    claim = history.claim()
    claim.trial_in_optuna.set_user_attr(KEY, "of old")
    assert history.as_trial(history.cells["low"], history.of(claim.trial)).key == "of old"


@pytest.mark.parametrize("begun", [0, 12])
def test_a_grid_is_tried_whole_and_once_though_another_sampler_has_begun_it(begun):
    space, store = {"zeta": Float(0.5, 1.5, step=0.5), "alpha": Int(1, 4)}, InMemory()
    if begun:
        run(History(search(space=space, budget=begun, sampler="random"), TRAIN, store))
    history = History(search(space=space, budget=200, sampler="grid"), TRAIN, store)
    run(history)
    assert history.finished()
    for arm in history.arms:
        trials = history.trials(arm)
        points = {(trial.params["zeta"], trial.params["alpha"]) for trial in trials}
        assert points == {(zeta, alpha) for zeta in (0.5, 1.0, 1.5) for alpha in (1, 2, 3, 4)}
        assert len(trials) - sum(TWIN in trial.user_attrs for trial in trials) == 12
        assert {trial.params["zeta"] for trial in trials[:6]} == {0.5, 1.0, 1.5}  # a half is of the whole space
    run(some := History(search(space=space, budget=6, sampler="grid"), TRAIN, InMemory()))
    assert [len(some.trials(arm)) for arm in some.arms] == [3, 3]


def test_a_plan_counts_the_points_of_a_grid(tmp_path, capsys, monkeypatch):
    spec = search(space={"zeta": Int(1, 4)}, base={"alpha": 1.0}, budget=200, sampler="grid", scheduler="none")
    start = Start(spec.name, TRAIN, Options(storage=str(tmp_path)), Console(), tmp_path / "study.py")
    runs = len(spec.study.trials(TRAIN))
    assert len(left_of_search(spec, start, ())[0]) == 8 + runs
    store = TrialStore(url_of(None, tmp_path / spec.name), spec.name)
    assert url_of("sqlite:///x.db", tmp_path) == "sqlite:///x.db"
    optuna.create_study(storage=store.storage)  # another search has begun in the same file
    left, study = left_of_search(spec, start, ())
    assert (len(left), study) == (8 + runs, spec.study)
    history = History(spec, TRAIN, store)
    history.tell(history.claim(), State.DONE, 1.0)
    history.release([history.claim()])
    assert len(left_of_search(spec, start, ())[0]) == 7 + runs
    run(history)
    best = {name: history.best(name).params for name in history.arms}
    assert left_of_search(spec, start, ()) == ([], spec.confirmation(best))
    said = capsys.readouterr().out
    assert "low: nothing tried, 4 of 4 left" in said
    assert "high: 4 done, 0 of 4 left" in said
    assert said.count("8 trials of zeta proposed by grid, none stopped early; then 2 winners on ") == 4
    assert left_of_search(replace(spec, budget=2, study=replace(spec.study, seeds=(7,))), start, ())[0] == []
    assert "; then 2 winners on 1 fresh seed\n" in capsys.readouterr().out
    monkeypatch.setattr("mixlab.launching.left_of_search.best_of", lambda study: None)  # every trial failed
    assert left_of_search(spec, start, ()) == ([], None)
    assert capsys.readouterr().out.endswith("; no trial was completed, so there is nothing to confirm\n")


def test_a_plan_does_not_give_the_base_value_of_what_is_searched(tmp_path, monkeypatch):
    spec = search(space={"zeta": Int(1, 4)}, base={"alpha": 1.0, "zeta": 9})
    start = Start(spec.name, TRAIN, Options(storage=str(tmp_path)), Console(), tmp_path / "study.py")
    monkeypatch.setattr("mixlab.launching.plan.print_cost", lambda *_: None)  # it starts Ray
    found = print_plan(spec, spec.study.trials(TRAIN), start)
    assert found.plan["config"]["alpha"] == 1.0
    assert "zeta" not in found.plan["config"]


@pytest.mark.parametrize("sampler", ["tpe", "qmc", pytest.param("gp", marks=pytest.mark.slow), "random"])
def test_every_sampler_covers_the_space_and_more_trials_are_just_the_difference(sampler):
    store = InMemory()
    before: dict[str, list[dict[str, Any]]] = {"low": [], "high": []}
    for budget in (6, 12, 24):  # a new driver each time
        history = History(search(budget=budget, sampler=sampler, scheduler="none"), TRAIN, store)
        assert not history.finished()
        run(history)
        for arm, old in before.items():
            before[arm] = [trial.params for trial in history.trials(arm)]
            assert len(before[arm]) == budget / 2
            assert before[arm][: len(old)] == old
    for points in before.values():
        assert len({(point["zeta"], point["alpha"]) for point in points}) == 12
        assert all(0.05 <= point["zeta"] <= 2 and 0.1 <= point["alpha"] <= 4 for point in points)
        if sampler == "qmc":  # one sequence, which leaves no eighth of a range out
            assert {int(8 * math.log(point["zeta"] / 0.05, 40)) for point in points} == {*range(8)}
    assert before["low"][0] != before["high"][0]
    assert run(History(search(budget=6, sampler=sampler), TRAIN, store)) == 0


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random"])
def test_every_sampler_varies_a_parameter_that_the_first_trial_lacks(sampler):
    """Optuna draws a Sobol sequence of the first trial's parameters alone, and all others by one seed."""
    space = {"term": Choice("none", "su"), "zeta": Float(0.05, 2, when={"term": ("su",)})}
    arms, base = (Arm("low", {}),), {"zeta": 1.0, "alpha": 1.0}
    history = History(search(space=space, arms=arms, base=base, budget=16, sampler=sampler), TRAIN, InMemory())
    history.arms["low"].enqueue_trial({"term": "none"})
    run(history, at_a_time=1)
    drawn = [trial.params.get("zeta") for trial in history.trials("low")]
    assert drawn[0] is None
    assert len({*drawn} - {None}) == sum(zeta is not None for zeta in drawn) > 2


@pytest.mark.parametrize(
    ("direction", "values", "best"),
    [
        ("maximize", (0.0, -1.0, -1.0, 3.0, 3.0), 3),
        ("minimize", (0.0, -1.0, -1.0, 3.0, 3.0), 1),
        ("maximize", (-0.5, 0.0), 1),
        ("minimize", (0.5, 0.0), 1),
    ],
)
def test_the_best_trial_is_the_first_of_equals_and_has_run_to_its_end(direction, values, best):
    study = optuna.create_study(direction=direction)
    for value in (9.0, -9.0):
        assert best_of(study) is None
        study.add_trial(optuna.trial.create_trial(state=TrialState.PRUNED, value=value))
    for value in values:
        study.add_trial(optuna.trial.create_trial(value=value))
    assert best_of(study).number == best + 2
