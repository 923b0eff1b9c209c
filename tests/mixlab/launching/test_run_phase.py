"""The end of work: whatever ended it is said in a sentence, and has its exit code."""

import io
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from rich.console import Console

from mixlab.errors import BadInput, HeadLost, StorageLost
from mixlab.launching.run_phase import code_of, say_why, worst_of, write_out

STOPPED = "Stopped; finished epochs are kept. To go on: "


@pytest.mark.parametrize(
    ("error", "code", "why", "last"),
    [
        (RuntimeError("a bug\nand more"), 1, "stopped by RuntimeError: a bug; finished epochs are kept, and mix", ""),
        (KeyError("x"), 1, "stopped by KeyError: 'x'; finished", ""),
        (OSError(28, "No space left"), 1, "stopped, because there is no room left in --storage 'results' ([Err", ""),
        (StorageLost("a disk is full"), 1, "stopped, because a disk is full; finished epochs are kept, and the s", ""),
        (HeadLost("the head has died"), 1, "the head has died\n", ""),
        (KeyboardInterrupt(), 130, "Stopping ...\n", STOPPED),
        (SystemExit(1), 130, "", STOPPED),  # of rich, when nobody reads its output
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_ends_work_is_said(error, code, why, last, capsys):
    console = Console(file=io.StringIO(), width=200)
    say_why(error, console, "results")
    text = console.file.getvalue()
    assert text.startswith(why)
    assert "Traceback" not in text
    assert code_of(error, console) == code
    assert console.file.getvalue().startswith(text + last)
    unread = "Stopping, because nobody reads the output; finished epochs are kept\n"
    assert (unread == capsys.readouterr().err) is isinstance(error, SystemExit)


LACKING = "MLflow at sqlite:///mlflow.db {}. Nothing is lost: it is kept, and the same command writes it{}.\n"
OUTAGE = " (refused by http://me:***@host)"


@pytest.mark.parametrize(
    ("options", "drained", "refused", "full", "written", "said"),
    [
        ({}, True, [], False, True, ""),
        ({"lost": True}, True, [], False, True, ""),
        ({}, True, ["no such run"] * 9, False, False, "MLflow refused a write: no such run\n"),
        ({}, False, [], False, False, LACKING.format("does not answer", OUTAGE)),
        ({}, False, [], True, False, LACKING.format("has no room", OUTAGE)),
        ({"complete": False}, True, [], False, False, LACKING.format("does not answer", "")),
    ],
)
def test_what_mlflow_lacks_is_said_and_where_it_is_kept(options, drained, refused, full, written, said):
    console = Console(file=io.StringIO(), width=200)
    writer = SimpleNamespace(outage="" if drained else "refused by http://me:secret@host", full=full, abandoned=False)
    tracker: Any = Mock(writer=writer)
    tracker.client.tracking_uri = "sqlite:///mlflow.db"
    tracker.drain.return_value, tracker.newly_refused.return_value = drained, refused
    assert write_out(tracker, "it is kept", console, **options) is written
    assert console.file.getvalue() == said
    assert writer.abandoned is bool("MLflow at" in said)
    seconds, tell = tracker.drain.call_args.args
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
    ("statuses", "whole"),
    [
        (["FINISHED", "FINISHED"], "FINISHED"),
        (["FINISHED", "KILLED"], "KILLED"),
        (["KILLED", "FAILED", "FINISHED"], "FAILED"),
        ([], "FINISHED"),
    ],
)
def test_a_whole_is_as_its_worst_part(statuses, whole):
    assert worst_of(statuses) == whole
