"""The phase of a search's proposed trials: how many run at a time, and what they are called when they have ended."""

import math
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, call

import pytest

from mixlab import Arm, Choice, Epoch
from mixlab.cluster.source import End
from mixlab.errors import BadInput
from mixlab.launching.proposed import ProposedTrials, describe
from mixlab.search.history import History
from mixlab.spec.trial import State
from mixlab.storage.journal import Saved
from tests.mixlab.search_toy import TRAIN, InMemory, proposed, search, states


def source_of(**changes: Any) -> ProposedTrials:
    return proposed(History(search(scheduler="none", **changes), TRAIN, InMemory()))


DONE, FAILED = End(State.DONE, 1.0), End(State.FAILED, error="no")


@pytest.mark.parametrize(("concurrent", "room", "most"), [(None, 3, 3), (2, 5, 2), (5, 2, 2)])
def test_no_more_trials_are_proposed_than_may_run(concurrent, room, most):
    """One that had to wait for room would be drawn without the results of those that run."""
    source = source_of(concurrent=concurrent)
    jobs = [source.next(room) for _ in range(most)]
    assert None not in jobs
    assert source.next(room) is None
    source.ended(jobs[0].trial, DONE)
    assert source.next(room) is not None
    assert source.next(room) is None
    assert not source.over()


def test_what_the_winners_runs_need_is_prepared_with_what_the_searchs_own_need_at_any_choice():
    """A trial reads only the files that were read for these; of a choice of teachers it found none."""
    source = source_of(base={"teacher": None}, tuning={"epochs": 3}, space={"teacher": Choice("a.pt", "b.pt")})
    found = [(trial.config["epochs"], trial.config["teacher"]) for trial in source.concerned]
    assert found == [(27, None)] * 2 + [(3, "a.pt"), (3, "b.pt")] * 2


def test_the_last_trials_are_waited_for_and_then_it_is_over():
    source = source_of(budget=2)
    first, second = source.next(9), source.next(9)
    assert source.next(9) is None
    assert [source.state(cell) for cell in ("low", "high")] == [State.INTERRUPTED] * 2
    source.ended(first.trial, DONE)
    assert (source.next(9), source.over()) == (None, False)
    source.ended(second.trial, FAILED)
    assert (source.next(9), source.over()) == (None, True)
    assert [source.state(cell) for cell in ("low", "high")] == [State.DONE, State.FAILED]
    assert set(source.winners()) == {"low"}
    assert source.forgettable() == {first.trial.key, second.trial.key}


def test_what_has_ended_is_counted_by_how():
    source = source_of(budget=8)
    for end in (DONE, End(State.PRUNED), FAILED, End(State.PRUNED)):
        job = source.next(1)
        source.reported(job.trial, Epoch(1, 27, {"val_top1": 1.0}))
        source.ended(job.trial, end)
    source.next(1)
    assert source.counts() == "4/8 tried, 2 pruned, 1 failed"


def test_a_trial_ends_by_its_last_epoch_and_by_an_objective_that_is_no_number():
    source = source_of()
    trial = source.next(1).trial
    assert source.reported(trial, Epoch(26, 27, {"val_top1": 70.0})) is None
    assert source.reported(trial, Epoch(27, 27, {"val_top1": 71.0})) == End(State.DONE, 71.0)
    for value in (math.nan, math.inf, -math.inf):
        end = source.reported(trial, Epoch(3, 27, {"val_top1": value}))
        error = f"the objective val_top1 became {value} in epoch 3"
        assert end == End(State.FAILED, error=error, answer=True)  # it would become so again


def test_trials_that_are_given_back_are_claimed_again_with_what_the_journal_holds():
    spec = search(base={"alpha": 1.0}, space={"zeta": Choice(0.1, 0.2)}, budget=8)
    history, saved = History(spec, TRAIN, InMemory()), object()
    source = proposed(history)
    trial, *others = [job.trial for job in iter(lambda: source.next(9), None)]
    assert len(others) == 3  # the rest wait for the results of these
    source.release()
    assert (source.claims, {*states(history, "low"), *states(history, "high")}) == ({}, {"WAITING"})
    source = ProposedTrials(history, Mock(newest=lambda only: {trial.key: saved}), "paper")
    jobs = [source.next(2) for _ in range(2)]
    assert jobs[0].trial.key == trial.key
    assert [job.saved for job in jobs] == [saved, None]


@pytest.mark.parametrize("before", [State.INTERRUPTED, State.FAILED])  # one that failed was tried again
def test_mlflow_gets_what_ended_without_it_and_the_best_trial_of_each_arm_is_marked(before):
    source = source_of(budget=6)
    trials = [source.next(9).trial for _ in range(6)]
    known, ended, whole, pruned, failed, _running = trials  # the arms low and high take turns
    for value, trial in enumerate(trials, 1):
        for number in (1, 2):
            source.reported(trial, Epoch(number, 27, {"val_top1": value}))
    for trial, value in ((known, 1.0), (ended, 2.0), (whole, 3.0)):
        source.ended(trial, End(State.DONE, value))
    source.ended(pruned, End(State.PRUNED, 4.0))
    source.ended(failed, End(State.FAILED, error="Traceback\nRuntimeError: no"))
    epochs = [Epoch(number, 27, {"val_top1": 3.0, "train_loss": 0.1}) for number in (1, 2)]
    source.storage = Mock(newest=lambda: {whole.key: Saved("folder", epochs)})
    runs = Mock(recorded={known.key: Mock(state=State.DONE), whole.key: Mock(state=before)})
    session: Any = SimpleNamespace(runs=runs, ends={ended.key: End(State.DONE)})
    assert source.catch_up(session)
    of_pruned, of_failed = ([Epoch(n, 2, {"val_top1": value}) for n in (1, 2)] for value in (4.0, 5.0))  # as in Optuna
    assert runs.mock_calls == [
        call.read(),
        call.start(whole),
        call.epochs(whole, epochs),
        call.end(whole, State.DONE, "", ""),
        call.start(failed),
        call.epochs(failed, of_failed),
        call.end(failed, State.FAILED, "RuntimeError: no", "Traceback\nRuntimeError: no"),
        call.start(pruned),
        call.epochs(pruned, of_pruned),
        call.end(pruned, State.PRUNED, "", ""),
        call.mark_best({whole.key, ended.key}),
    ]
    runs.recorded |= {key: Mock(state=State.DONE) for key in (whole.key, pruned.key)}
    runs.recorded[failed.key] = Mock(state=State.FAILED)
    runs.reset_mock()
    assert source.catch_up(session)
    assert runs.mock_calls == [call.read(), call.mark_best({whole.key, ended.key})]
    runs.read.side_effect = BadInput("MLflow does not answer")
    runs.reset_mock()
    assert not source.catch_up(session)
    assert runs.mock_calls == [call.read()]


def test_a_plan_of_a_search_says_what_the_analysis_needs():
    arms = (Arm("low", {"arm": "low"}), Arm("high", {"arm": "high"}, control=True))
    history = History(search(budget=20, search_seeds=(5, 6), arms=arms), TRAIN, InMemory())
    found = describe(history, "quick")
    assert found["space"]["zeta"] == {"kind": "Float", "low": 0.05, "high": 2, "log": True, "step": None, "when": {}}
    expected = {"preset": "quick", "per_arm": 10, "search_seeds": [5, 6], "seeds": [*range(6)]}
    expected |= {"objective": "val_top1", "direction": "maximize", "sampler": "tpe", "scheduler": "asha", "tuning": {}}
    assert {key: found[key] for key in expected} == expected
    assert (set(found["arms"]), found["controls"]) == ({"low", "high"}, ["high"])
    assert "racing" not in found
