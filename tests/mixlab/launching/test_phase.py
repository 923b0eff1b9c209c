"""The phase of a study's listed trials: what is left, what has to be run, and what the journal completes."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, call

import pytest

from mixlab import Epoch, Options
from mixlab.cluster.source import End, Job
from mixlab.launching.phase import ListedTrials
from mixlab.spec.trial import State
from mixlab.storage.journal import Saved
from mixlab.tracking.stored_runs import StoredRun
from tests.endings import refused
from tests.mixlab.spec.minimal import STUDY, TRAIN

DONE, FAILED, HALF, WHOLE = STUDY.trials(TRAIN)  # as MLflow has the first two, and the journal the others
SAVED = {
    HALF.key: Saved("half", [Epoch(1, 4, {"rmse": 9.0})]),
    WHOLE.key: Saved("whole", [Epoch(number, 4, {"rmse": 1.0}) for number in range(1, 5)]),
}


def recorded(state: State) -> StoredRun:
    return StoredRun("", state, 0, None, {}, {}, {"rmse_last": 1.5})


@pytest.fixture
def phase() -> ListedTrials:
    """Return the phase of four trials, each in another state."""
    start: Any = SimpleNamespace(options=Options(storage="s3://me:secret@bucket"), train=TRAIN)
    runs = {DONE.key: recorded(State.DONE), FAILED.key: recorded(State.FAILED)}
    return ListedTrials(STUDY, [DONE, FAILED, HALF, WHOLE], start, runs, SAVED)


def test_what_is_not_done_runs_seed_by_seed_and_what_failed_is_tried_again(phase):
    assert phase.expected() == 1 + 0.75
    assert not phase.over()
    assert [phase.next(1) for _ in range(3)] == [Job(HALF, SAVED[HALF.key]), Job(FAILED), None]
    assert phase.over()
    assert phase.states[HALF.key] is State.RUNNING
    assert phase.concerned == [FAILED, HALF]


def test_it_counts_what_is_done_and_what_has_failed_now(phase):
    assert phase.counts() == "1/4 done"
    assert phase.done() == {DONE.key: "1.50 kg"}
    phase.ended(FAILED, End(State.FAILED, error="again"))
    assert phase.counts() == "1/4 done, 1 failed"
    phase.ended(FAILED, End(State.DONE))
    assert phase.counts() == "2/4 done"
    assert phase.done() == {DONE.key: "1.50 kg", FAILED.key: "1.50 kg"}
    assert phase.forgettable() == {DONE.key, FAILED.key}


def test_a_cell_is_failed_if_one_of_its_trials_is_and_done_if_all_are(phase):
    assert [phase.state(trial.cell) for trial in (DONE, HALF)] == [State.INTERRUPTED] * 2
    phase.ended(FAILED, End(State.FAILED))
    for trial in (HALF, WHOLE):
        phase.ended(trial, End(State.DONE))
    assert [phase.state(trial.cell) for trial in (DONE, HALF)] == [State.FAILED, State.DONE]


def test_trials_that_the_journal_completes_end_without_being_run(phase):
    session = Mock()
    assert [phase.catch_up(session) for _ in range(2)] == [True, True]
    epochs = SAVED[WHOLE.key].epochs
    assert session.mock_calls == [call.resumed(WHOLE, epochs), call.ended(WHOLE, End(State.DONE), "whole")]
    assert phase.states[WHOLE.key] is State.DONE
    assert phase.done() == {DONE.key: "1.50 kg"}  # the journal's are not among MLflow's records of the start
    assert phase.counts() == "2/4 done"


def test_a_listed_trial_runs_to_its_end_by_when_the_baseline_must_have_the_compared_metric(phase):
    third, last = (Epoch(number, 4, {"loss": 1.0, "gain": 2.0}) for number in (3, 4))
    assert phase.reported(DONE, third) is None
    assert phase.reported(HALF, last) is None  # of another arm
    with refused("the metric 'rmse_last' was not reported by a · seed 0; it reports gain, loss: report it"):
        phase.reported(DONE, last)


def test_where_the_records_are_is_said_without_a_password(phase):
    assert phase.record == "what it lacks is kept under s3://me:***@bucket"
    assert phase.tracked.name == "toy"
    assert phase.tracked.cells == {"a": "a", "b": "b"}
    assert replace(STUDY, seeds=range(9)).identity == phase.tracked.identity
