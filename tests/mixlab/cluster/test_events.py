"""What happens to trials is passed on to source and listener, and which errors are final is decided, without Ray."""

import itertools
import threading
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, call

import pytest

from mixlab.cluster import events as module
from mixlab.cluster.events import Events, Leave
from mixlab.cluster.source import End, Job
from mixlab.cluster.tune_private import Failure
from mixlab.search.history import History
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import Saved
from tests.endings import refused
from tests.mixlab.search_toy import TRAIN, InMemory, proposed, search

TRIAL = Trial("key", "arm", {}, 0, {})
ERROR = Failure("Traceback\n  File\nRuntimeError: a shape is wrong", raised=True)
LOST = Failure("a node died", raised=False)
FULL = "torch.OutOfMemoryError: CUDA out of memory. Process"


def failure(text: str) -> Failure:
    return Failure(f"Traceback\n{text}", raised=True)


@pytest.mark.parametrize(
    ("first", "second", "again"),
    [
        ((0, ERROR), (0, ERROR), True),
        ((3, ERROR), (3, ERROR), True),
        ((3, ERROR), (4, ERROR), False),  # it came further
        ((0, ERROR), (1, ERROR), False),
        ((3, ERROR), (3, failure("RuntimeError: another")), False),
        ((3, LOST), (3, LOST), False),
        ((3, failure("TypeError: <Loss at 0x7f21d0>")), (3, failure("TypeError: <Loss at 0x7f8c10>")), True),
        ((3, failure(f"{FULL} 411 has 12 GiB.")), (3, failure(f"{FULL} 523 has 12 GiB.")), True),
        ((3, failure(f"{FULL} 411 has 12 GiB.")), (4, failure(f"{FULL} 523 has 12 GiB.")), False),
        ((3, failure(f"{FULL} 411 has 12 GiB.")), (3, ERROR), False),
    ],
)
def test_the_same_error_of_a_trial_at_the_same_epoch_is_final(first, second, again):
    events, other, found = Events(None, None, lambda: 1), Trial("other", "arm", {}, 1, {}), []
    for epoch, error in (first, second):
        if epoch:
            events.furthest[TRIAL.key] = Epoch(epoch, 9, {})
        found.append(events.is_final(TRIAL, error, 1.0))
    assert found == [False, again]
    assert not events.is_final(other, second[1], 1.0)


def test_a_source_that_cannot_continue_stops_the_trial_and_then_all_without_a_word():
    source = proposed(History(search(objective="val_topp1"), TRAIN, InMemory()))
    listener: Any = SimpleNamespace(reported=lambda *_: None)
    events = Events(source, listener, lambda: 1)
    job = events.next()
    assert events.reported(job.trial, Epoch(1, 3, {"val_top1": 5.0}), True)
    with refused("the objective 'val_topp1' was not reported by low · trial 0; it reports val_top1"):
        raise events.fault
    events.completed(job.trial, "folder")  # of which nobody is told
    with pytest.raises(Leave):
        events.next()


def told_of(*jobs: Job | None, ends: Mapping[int, End] = {}) -> Any:
    """Return a source of these jobs, which ends trials after certain epochs, and a listener; both note their calls."""
    told = Mock()
    told.source.next.side_effect = jobs
    told.source.reported.side_effect = lambda trial, epoch, **_: ends.get(epoch.number)
    return told


def events_of(told: Any) -> Events:
    return Events(told.source, told.listener, lambda: 1)


def ended(end: End, checkpoint: str) -> list[Any]:
    return [call.source.ended(TRIAL, end), call.listener.ended(TRIAL, end, checkpoint)]


def saved(*numbers: int) -> Saved:
    return Saved("folder", [Epoch(number, 3, {}) for number in numbers])


STOP = End(State.PRUNED, 5.0)
DONE = End(State.DONE)


def test_jobs_come_from_the_source_with_what_the_journal_holds_of_them():
    fresh, begun = Job(TRIAL), Job(TRIAL, saved(1, 2))
    events = events_of(told := told_of(fresh, begun, None))
    assert [events.next() for _ in range(3)] == [fresh, begun, None]
    assert events.furthest[TRIAL.key].number == 2  # attempts that come no further are said to end in epoch 3
    assert told.listener.mock_calls == [call.resumed(TRIAL, begun.saved.epochs)]
    known = [call.reported(TRIAL, epoch, may_stop=True) for epoch in begun.saved.epochs]
    assert told.source.mock_calls == [call.next(1), call.next(1), *known, call.next(1)]


@pytest.mark.parametrize(
    ("numbers", "ends", "end"),
    [
        ((1, 2, 3), {}, DONE),
        ((1, 2, 3), {3: End(State.DONE, 9.0)}, End(State.DONE, 9.0)),
        ((1, 2), {1: STOP}, STOP),  # the driver was killed between the report and the end
    ],
)
def test_a_trial_that_the_journal_completes_ends_and_the_next_one_comes(numbers, ends, end):
    told = told_of(Job(TRIAL, saved(*numbers)), None, ends=ends)
    assert events_of(told).next() is None
    assert told.mock_calls[-3:] == [*ended(end, "folder"), call.source.next(1)]
    assert told.source.reported.call_count == (1 if 1 in ends else 3)


UNFINISHED = End(State.FAILED, error="it returned after epoch 2 of 3")
SILENT = End(State.FAILED, error="it returned without a report: report(epoch, save) is called after every epoch")


@pytest.mark.parametrize(
    ("numbers", "ends", "stop", "end"),
    [
        ((1, 2, 3), {}, [False, False, False], DONE),
        ((1, 2), {2: STOP}, [False, True], STOP),
        ((1, 2, 3), {3: STOP}, [False, False, False], STOP),  # it stops by itself
        ((1, 2, 1), {}, [False, False, False], UNFINISHED),
        ((3, 2), {}, [False, False], DONE),  # one that begins again repeats what is known
        ((), {}, [], SILENT),
    ],
)
def test_a_trial_ends_as_the_source_says_or_by_its_last_epoch(numbers, ends, stop, end):
    events = events_of(told := told_of(ends=ends))
    epochs = [Epoch(number, 3, {}) for number in numbers]
    assert [events.reported(TRIAL, epoch, True) for epoch in epochs] == stop
    reports = [[call.listener.reported(TRIAL, epoch), call.source.reported(TRIAL, epoch)] for epoch in epochs]
    events.completed(TRIAL, "folder")
    assert told.mock_calls == [*itertools.chain(*reports), *ended(end, "folder")]
    assert (events.furthest, events.ends) == ({}, {})


def test_a_trial_that_crashes_for_the_last_time_has_its_account_and_no_checkpoint():
    events = events_of(told := told_of())
    events.is_final(TRIAL, ERROR, 0.0)
    events.failed(TRIAL, "an account")
    assert told.mock_calls == ended(End(State.FAILED, error="an account"), "")
    assert not events.failures


def test_ray_tune_leaves_its_loop_and_every_other_error_comes_through(monkeypatch):
    events = events_of(told := told_of(Job(TRIAL)))
    with monkeypatch.context() as impatient:
        impatient.setattr(module, "LEAVE_SECONDS", 0.01)
        events.leave()  # it waits no longer than that
    assert not events._left.is_set()
    threading.Thread(target=events.until_left, args=(lambda: time.sleep(0.05),)).start()
    events.leave()  # it waits for the loop
    assert events._left.is_set()
    events.until_left(events.next)
    assert not told.mock_calls
    with pytest.raises(ZeroDivisionError):
        events.until_left(lambda: 1 / 0)
