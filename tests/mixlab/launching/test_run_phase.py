"""The end of work: whatever ended it is said in a sentence, and has its exit code."""

import io

import pytest
from rich.console import Console

from mixlab.errors import BadInput, HeadLost
from mixlab.launching.run_phase import code_of, say_why, worst_of


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RuntimeError("a bug\nand more"), 1, "stopped by RuntimeError: a bug; finished epochs are kept"),
        (KeyError("x"), 1, "stopped by KeyError: 'x'"),
        (OSError(28, "No space left on device"), 1, "no room left in --storage 'results'"),
        (HeadLost("the head has died"), 1, "the head has died"),
        (KeyboardInterrupt(), 130, "Stopped; finished epochs are kept. To go on: "),
        (SystemExit(1), 130, "Stopped; finished epochs are kept. To go on: "),  # of rich, when nobody reads its output
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_ends_work_is_said(error, code, said):
    console = Console(file=io.StringIO(), width=200)
    say_why(error, console, "results")
    assert code_of(error, console) == code
    text = console.file.getvalue()
    assert said in text
    assert "Traceback" not in text


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
