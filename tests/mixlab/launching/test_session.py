"""What MLflow's runs, the terminal and the mirrors are told of a trial."""

from typing import Any
from unittest.mock import Mock, call

import pytest

from mixlab.cluster.source import End
from mixlab.launching.session import KEPT, Session
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial

TRIAL = Trial("key", "arm", {}, 0, {})
EPOCHS = [Epoch(number, 3, {"rmse": 1.0}) for number in (1, 2, 3)]


@pytest.fixture
def session() -> Any:
    """Return a session of which everything that it tells is in ``told.mock_calls``, in order."""
    told = Mock()
    found = Session(told.runs, told.storage, told.display, told.mirrors, keep_files=True, after_end=told.after_end)
    found.told = told
    return found


def test_a_trial_that_goes_on_and_is_tried_again_is_begun_once_in_mlflow(session):
    session.resumed(TRIAL, EPOCHS[:1])
    session.started(TRIAL)
    session.reported(TRIAL, EPOCHS[1])
    session.crashed(TRIAL, "crashed")
    session.started(TRIAL)
    assert session.running == {"key": TRIAL}
    session.ended(TRIAL, End(State.DONE), "")
    assert (
        [
            call.runs.start(TRIAL),
            call.runs.epochs(TRIAL, EPOCHS[:1]),  # which MLflow may lack
            call.mirrors.start(TRIAL),
            call.display.started(TRIAL, EPOCHS[0]),
            call.display.reported(TRIAL, EPOCHS[1]),
            call.runs.epochs(TRIAL, EPOCHS[1:2]),
            call.mirrors.epoch(TRIAL, EPOCHS[1]),
            call.display.crashed(TRIAL, "crashed"),
            call.mirrors.start(TRIAL),
            call.display.started(TRIAL, EPOCHS[1]),
            call.runs.end(TRIAL, State.DONE, "", "", None),
            call.mirrors.end(TRIAL, State.DONE),
            call.after_end(),
            call.display.ended(TRIAL, State.DONE, EPOCHS[1], ""),
        ]
        == session.told.mock_calls
    )
    assert (session.running, session.failures, session.ends) == ({}, {}, {"key": End(State.DONE)})


def test_a_trial_that_fails_is_named_with_the_last_line_of_its_account(session):
    session.ended(TRIAL, End(State.FAILED, error="Traceback\nValueError: no"), "folder")
    assert session.failures == {TRIAL.name: "ValueError: no"}
    assert session.told.runs.mock_calls == [
        call.start(TRIAL),
        call.end(TRIAL, State.FAILED, "ValueError: no", "Traceback\nValueError: no", None),
    ]
    assert session.told.display.ended.call_args == call(TRIAL, State.FAILED, None, "ValueError: no")


@pytest.mark.parametrize(
    ("keep_files", "state", "checkpoint", "opened"),
    [
        (True, State.DONE, "folder", [call("folder", KEPT)]),
        (True, State.DONE, "", []),
        (True, State.PRUNED, "folder", []),
        (False, State.DONE, "folder", []),  # as of a search's trials, of which there are many
    ],
)
def test_the_files_of_a_finished_trial_alone_go_to_mlflow(session, keep_files, state, checkpoint, opened):
    session.keep_files = keep_files
    session.ended(TRIAL, End(state), checkpoint)
    files = session.told.runs.end.call_args.args[-1]
    assert not session.told.storage.mock_calls  # MLflow's writer reads them, in its own thread
    if files is not None:
        files()
    assert session.told.storage.open.mock_calls == opened
