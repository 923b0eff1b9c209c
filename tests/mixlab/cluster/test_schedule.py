"""What is told to Ray Tune and what it tells, and the account of a process that ended by itself, without Ray."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, call

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from mixlab.cluster import ended_process, tune_private
from mixlab.cluster.events import Events, Leave
from mixlab.cluster.schedule import _Callbacks, _InTurn, _Suggestions
from mixlab.cluster.source import End, Job
from mixlab.cluster.tune_private import Failure
from mixlab.errors import BadInput, StorageLost, last_line
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import Saved

TRIAL = Trial("key", "arm", {}, 0, {})
CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP
END = End(State.PRUNED, 5.0)
KILLED = Failure("The actor died.", raised=False, process=("node", 5))
RAISED = Failure("Traceback\nValueError: no", raised=True)


@pytest.fixture
def events() -> Any:
    """Return events with a source that ends nothing and a listener, which note what they are told."""
    return Events(Mock(reported=Mock(return_value=None)), Mock(), lambda: 1)


@pytest.fixture
def ray_trial() -> Any:
    """Return a trial of Ray Tune that has failed twice."""
    share = SimpleNamespace(required_resources={"CPU": 1.0})
    failed = {"num_failures": 2, "run_metadata": SimpleNamespace(num_failures=2)}
    return SimpleNamespace(config={"trial": TRIAL}, checkpoint=None, placement_group_factory=share, **failed)


@pytest.fixture(autouse=True)
def account(monkeypatch) -> None:
    """Let the account of a process that has ended name it."""
    monkeypatch.setattr(ended_process, "account", lambda node, pid: f"a frame\nprocess {pid} of {node} ended")


def test_ray_tune_is_given_the_jobs_of_the_source(events):
    events.source.next.side_effect = [Job(TRIAL), Job(TRIAL, Saved("folder", [Epoch(1, 3, {})])), None, None]
    events.source.over.side_effect = [False, True]
    given = {"key": "key", "trial": TRIAL, "resume_from": None}
    found = [_Suggestions(events).suggest("id") for _ in range(4)]
    assert found == [given, {**given, "resume_from": "folder"}, None, Searcher.FINISHED]


def test_a_trial_goes_on_until_its_source_ends_it(events, ray_trial):
    def told(number: int) -> tuple[str, int]:
        ray_trial.run_metadata.num_failures = 2
        answer = _InTurn(events).on_trial_result(None, ray_trial, {"epoch": Epoch(number, 5, {}), "saved": True})
        return answer, ray_trial.run_metadata.num_failures

    assert [told(number) for number in (1, 2, 1, 2)] == [(CONTINUE, 0), (CONTINUE, 0), (CONTINUE, 2), (CONTINUE, 2)]
    events.source.reported.return_value = END
    assert told(3) == (STOP, 0)
    assert [each.args[1].number for each in events.listener.reported.call_args_list] == [1, 2, 1, 2, 3]
    assert _InTurn(events).on_trial_result(None, ray_trial, {"done": True}) == CONTINUE  # Ray Tune's own last result
    _Callbacks(events).on_trial_complete(1, [], ray_trial)
    assert events.listener.ended.call_args == call(TRIAL, END, "")


@pytest.mark.parametrize("answer", [True, False])
def test_an_error_that_a_trial_reports_is_its_end(events, ray_trial, answer):
    assert _InTurn(events).on_trial_result(None, ray_trial, {"error": "diverged", "answer": answer}) == CONTINUE
    ray_trial.checkpoint = SimpleNamespace(path="folder")
    _Callbacks(events).on_trial_complete(1, [], ray_trial)
    end = End(State.FAILED, error="diverged", answer=answer)
    assert events.source.ended.call_args == call(TRIAL, end)
    assert events.listener.ended.call_args == call(TRIAL, end, "folder")


@pytest.mark.parametrize(
    ("failure", "reached", "attempts", "error"),
    [
        (RAISED, 2, 2, RAISED.text),
        (Failure("its node was lost", raised=False), 2, 2, "its node was lost"),
        (KILLED, 2, 2, "a frame\nprocess 5 of node ended; 2 attempts came no further than epoch 3"),
        (KILLED, 0, 1, "a frame\nprocess 5 of node ended; 1 attempt came no further than epoch 1"),
    ],
)
def test_a_trial_whose_process_ends_again_and_again_has_the_epoch_that_none_finished(
    events, ray_trial, monkeypatch, failure, reached, attempts, error
):
    monkeypatch.setattr(tune_private, "failure_of", lambda trial: failure)
    ray_trial.num_failures = attempts
    events.furthest |= {TRIAL.key: Epoch(reached, 5, {})} if reached else {}
    _Callbacks(events).on_trial_error(1, [], ray_trial)
    assert events.listener.ended.call_args == call(TRIAL, End(State.FAILED, error=error), "")


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (KILLED, " (process 5 of node ended)"),
        (RAISED, " (ValueError: no)"),
        (Failure("The actor died.\nA long account of Ray's", raised=False), ""),
    ],
)
def test_a_crash_is_explained_if_a_line_says_what_happened(events, ray_trial, monkeypatch, failure, why):
    monkeypatch.setattr(tune_private, "failure_of", lambda trial: failure)
    _Callbacks(events).on_trial_recover(1, [], ray_trial)
    account = f"crashed{why}, attempt 3 begins anew"
    assert events.listener.mock_calls == [call.crashed(TRIAL, account)]


@pytest.mark.parametrize(
    ("saved", "after"),
    [((True, True, True), 3), ((True, False, False), 1), ((False, False, False), None)],  # by --checkpoint-every
)
def test_a_crashed_trial_is_said_to_go_on_after_the_epoch_of_its_last_checkpoint(
    events, ray_trial, monkeypatch, saved, after
):
    monkeypatch.setattr(tune_private, "failure_of", lambda trial: RAISED)
    epochs = [Epoch(number, 5, {}) for number in (1, 2, 3)]
    for epoch, each in zip(epochs, saved, strict=True):
        _InTurn(events).on_trial_result(None, ray_trial, {"epoch": epoch, "saved": each})
    _Callbacks(events).on_trial_recover(1, [], ray_trial)
    _Callbacks(events).on_trial_start(1, [], ray_trial)
    onwards = f"goes on after epoch {after} of 5" if after else "begins anew"
    assert events.listener.mock_calls[3:] == [
        call.crashed(TRIAL, f"crashed (ValueError: no), attempt 3 {onwards}"),
        call.started(TRIAL, epochs[after - 1] if after else None),
    ]


@pytest.mark.parametrize(
    ("damaged", "latest", "account"),
    [
        (1, Epoch(2, 5, {}), "found 1 damaged checkpoint, goes on after epoch 2 of 5"),
        (2, Epoch(1, 5, {}), "found 2 damaged checkpoints, goes on after epoch 1 of 5"),
        (3, None, "found 3 damaged checkpoints, begins anew"),
    ],
)
def test_a_trial_that_passes_over_damaged_checkpoints_says_so(events, ray_trial, damaged, latest, account):
    events.saved[TRIAL.key] = Epoch(3, 5, {})
    _InTurn(events).on_trial_result(None, ray_trial, {"damaged": damaged, "latest": latest})
    assert events.listener.mock_calls == [call.crashed(TRIAL, account)]
    assert events.saved.get(TRIAL.key) == latest


def test_a_storage_that_a_trial_has_lost_ends_the_work(events, ray_trial):
    assert _InTurn(events).on_trial_result(None, ray_trial, {"lost": "the disk is full"}) == STOP
    assert isinstance(events.fault, StorageLost)
    assert str(events.fault) == "the disk is full"


def test_whatever_ray_tune_tells_next_it_leaves_its_loop_and_nobody_is_told(events, ray_trial):
    callbacks = _Callbacks(events)
    callbacks.on_trial_start(1, [], ray_trial)
    assert events.listener.mock_calls == [call.started(TRIAL, None)]
    events.fault = BadInput("no objective")
    for tell in (
        lambda: callbacks.on_step_begin(1, []),
        lambda: callbacks.on_trial_start(1, [], ray_trial),
        lambda: callbacks.on_trial_recover(1, [], ray_trial),
        lambda: callbacks.on_trial_complete(1, [], ray_trial),
        lambda: callbacks.on_trial_error(1, [], ray_trial),
        lambda: _Suggestions(events).suggest("id"),
        lambda: _InTurn(events).on_trial_result(None, ray_trial, {"epoch": Epoch(1, 5, {}), "saved": True}),
    ):
        with pytest.raises(Leave):
            tell()
    assert len(events.listener.mock_calls) == 1
    assert not events.source.mock_calls


# As Ray 2.56 and Python 3.11 left it.
SEGMENTATION_FAULT = """:job_id:01000000
:actor_name:ImplicitFunc
*** SIGSEGV received at time=1795708229 on cpu 0 ***
PC: @     0x7fc8d7785ad8  (unknown)  (unknown)
[2026-11-26 15:50:30,133 E 23451 23709] logging.cc:474: *** SIGSEGV received at time=1795708230 on cpu 0 ***
Fatal Python error: Segmentation fault

Stack (most recent call first):
  File "/home/me/it's mine/kernel.py", line 519 in <lambda>
  File "/home/me/study.py", line 15 in __call__

Extension modules: msgpack._cmsgpack (total: 1)
"""
AT = "/home/me/it's mine/kernel.py, line 519, in <lambda>"
SILENT = "its process ended without a word, as by os._exit, SIGKILL or a machine short of memory"


def test_a_signal_is_named_with_the_line_at_which_it_came_and_the_stack_is_kept():
    account = ended_process.in_words("/tmp/ray/w.err", SEGMENTATION_FAULT)
    assert last_line(account) == f"its process ended by SIGSEGV at {AT}; its log is /tmp/ray/w.err"
    assert account.splitlines()[1] == '  File "/home/me/study.py", line 15 in __call__'


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [
        ("w.err on node7", ":job_id:01000000\n", f"{SILENT}; its log is w.err on node7"),
        ("w.err", "", f"{SILENT}; its log is w.err"),
        ("", "", SILENT),
        ("w.err", "*** SIGBUS received at time=1 ***\nno stack", "its process ended by SIGBUS; its log is w.err"),
        ("w.err", "the text '*** SIGSEGV received' in a line of a trial's own", f"{SILENT}; its log is w.err"),
    ],
)
def test_what_the_log_does_not_say_is_not_made_up(path, text, sentence):
    assert ended_process.in_words(path, text) == sentence
