"""What MLflow, the terminal and the mirrors are told of a trial, and the end of work: what ended it, in a sentence."""

import io
from typing import Any
from unittest.mock import Mock, call

import pytest
from rich.console import Console

from mixlab.cluster.source import End
from mixlab.errors import BadInput, HeadLost, StorageLost
from mixlab.launching import run_phase
from mixlab.launching.run_phase import code_of, say_why, worst_of, write_out
from mixlab.launching.session import KEPT, Session
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial

STOPPED = f"Stopped; {run_phase.SAVED}. To go on: "


@pytest.mark.parametrize(
    ("error", "code", "why", "last"),
    [
        (RuntimeError("a bug\nand more"), 1, f"stopped by RuntimeError: a bug; {run_phase.SAVED}, and mixlab", ""),
        (KeyError("x"), 1, "stopped by KeyError: 'x'; every trial", ""),
        (OSError(28, "No space left"), 1, "stopped, because there is no room left in --storage 's3://me:***@b' (", ""),
        (StorageLost("a disk is full"), 1, f"stopped, because a disk is full; {run_phase.SAVED}, and the s", ""),
        (HeadLost("the head has died"), 1, f"the head has died; {run_phase.SAVED}\n", ""),
        (KeyboardInterrupt(), 130, "Stopping ...\n", STOPPED),
        (SystemExit(1), 130, "", STOPPED),  # rich raises it when nobody reads its output
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_ends_work_is_said(error, code, why, last, capsys, monkeypatch):
    console = Console(file=io.StringIO(), width=200)
    monkeypatch.setattr(run_phase, "LOG", log := Mock())
    say_why(error, console, "s3://me:secret@b")
    text = console.file.getvalue()
    assert text.startswith(why)
    assert "Traceback" not in text
    assert [each.kwargs["exc_info"] for each in log.error.mock_calls] == [error] * text.count("mixlab.log says more")
    assert code_of(error, console) == code
    assert console.file.getvalue().startswith(text + last)
    unread = f"Stopping, because nobody reads the output; {run_phase.SAVED}\n"
    assert (unread == capsys.readouterr().err) is isinstance(error, SystemExit)


LACKING = "MLflow at http://me:***@host {}. Nothing is lost: it is kept, and the same command writes it{}.\n"
OUTAGE = " (refused by http://me:***@host)"


@pytest.mark.parametrize(
    ("options", "drained", "refused", "full", "written", "said"),
    [
        ({}, True, [], False, True, ""),
        ({"lost": True}, True, [], False, True, ""),
        ({}, True, ["no such run"] * 9, False, False, "MLflow refused a write: no such run\n"),
        ({}, False, [], False, False, LACKING.format("does not answer", OUTAGE)),
        ({}, False, [], True, False, LACKING.format("has no room", OUTAGE)),
        ({"lost": True}, False, [], True, False, LACKING.format("has no room", OUTAGE)),
        ({"complete": False}, True, [], False, False, LACKING.format("does not answer", "")),
    ],
)
def test_what_mlflow_lacks_is_said_and_where_it_is_kept(options, drained, refused, full, written, said):
    console = Console(file=io.StringIO(), width=200)
    writer = Mock(outage="" if drained else "refused by http://me:secret@host", full=full, abandoned=False)
    tracker: Any = Mock(writer=writer)
    tracker.client.tracking_uri = "http://me:secret@host"
    writer.drain.return_value, tracker.newly_refused.return_value = drained, refused
    assert write_out(tracker, "it is kept", console, **options) is written
    assert console.file.getvalue() == said
    assert writer.abandoned is bool("MLflow at" in said)
    more = full and "lost" not in options  # it would take more time
    assert (tracker.end_without_room.called, writer.drain.call_count) == (more, 1 + more)
    seconds, tell = writer.drain.call_args_list[0].args
    assert seconds == (5 if "lost" in options else 60)  # the server may be on the machine that was lost
    tell(7)
    assert console.file.getvalue() == f"{said}Writing to MLflow, which is slow: 7 writes left\n"


def test_bad_input_that_ends_work_is_raised_in_the_end():
    console, fault = Console(file=io.StringIO()), BadInput("no such file")
    say_why(fault, console, "results")
    assert not console.file.getvalue()
    with pytest.raises(BadInput, match="no such file"):
        code_of(fault, console)


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        ([State.DONE, State.DONE], State.DONE),
        ([State.DONE, State.INTERRUPTED], State.INTERRUPTED),
        ([State.INTERRUPTED, State.FAILED, State.DONE], State.FAILED),
        ([], State.DONE),
    ],
)
def test_a_whole_is_as_its_worst_part(states, whole):
    assert worst_of(states) is whole


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
    session.started(TRIAL, EPOCHS[0])
    session.reported(TRIAL, EPOCHS[1])
    session.crashed(TRIAL, "crashed")
    session.started(TRIAL, None)
    assert session.running == {"key": TRIAL}
    session.ended(TRIAL, End(State.DONE), "")
    assert (
        session.told.mock_calls
        == [
            call.runs.start(TRIAL),
            call.runs.epochs(TRIAL, EPOCHS[:1]),  # MLflow may lack them
            call.mirrors.start(TRIAL),
            call.display.started(TRIAL, EPOCHS[0]),
            call.display.reported(TRIAL, EPOCHS[1]),
            call.runs.epochs(TRIAL, EPOCHS[1:2]),
            call.mirrors.epoch(TRIAL, EPOCHS[1]),
            call.display.crashed(TRIAL, "crashed"),
            call.mirrors.start(TRIAL),
            call.display.started(TRIAL, None),
            call.runs.end(TRIAL, State.DONE, "", "", None),
            call.mirrors.end(TRIAL, State.DONE),
            call.after_end(),
            call.display.ended(TRIAL, State.DONE, EPOCHS[1], ""),
        ]
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
