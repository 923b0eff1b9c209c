"""What happens to trials is passed on to source and listener, and which errors are final is decided, without Ray."""

import threading
import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from mixlab.cluster import events as module
from mixlab.cluster.events import Events, Leave
from mixlab.cluster.source import End, Job
from mixlab.cluster.tune_private import Failure
from mixlab.errors import BadInput
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


def test_a_source_that_cannot_continue_stops_the_trial_and_then_all():
    source = proposed(History(search(objective="val_topp1"), TRAIN, InMemory()))
    listener: Any = SimpleNamespace(reported=lambda *_: None)
    events = Events(source, listener, lambda: 1)
    job = events.next()
    assert events.reported(job.trial, Epoch(1, 3, {"val_top1": 5.0}))
    with refused("the objective 'val_topp1' was not reported by low · trial 0; it reports val_top1"):
        raise events.fault
    with pytest.raises(Leave):
        events.go_on()


class Both:
    """A source of these jobs, and a listener: notes what it is told, and ends trials after certain epochs."""

    def __init__(self, *jobs: Any, ends: Mapping[int, End] = {}) -> None:
        self.jobs = list(jobs)
        self.ends = ends
        self.said: list[Any] = []

    def next(self, room: int) -> Any:
        return self.jobs.pop(0)

    def resumed(self, trial: Trial, epochs: Sequence[Epoch]) -> None:
        self.said.append(("resumed", trial.key, [epoch.number for epoch in epochs]))

    def reported(self, trial: Trial, epoch: Epoch, fresh: bool | None = None) -> End | None:
        self.said.append(("reported", epoch.number, fresh))
        return self.ends.get(epoch.number)

    def ended(self, trial: Trial, end: End, checkpoint: str | None = None) -> None:
        self.said.append(("ended", end, checkpoint))


def events_of(both: Both) -> Events:
    return Events(both, both, lambda: 1)


def saved(*numbers: int) -> Saved:
    return Saved("folder", [Epoch(number, 3, {}) for number in numbers])


STOP = End(State.PRUNED, 5.0)
DONE = End(State.DONE)


def test_jobs_come_from_the_source_with_what_the_journal_holds_of_them():
    fresh, begun = Job(TRIAL), Job(TRIAL, saved(1, 2))
    events = events_of(both := Both(fresh, begun, None))
    assert [events.next() for _ in range(3)] == [fresh, begun, None]
    assert events.furthest[TRIAL.key].number == 2  # attempts that come no further are said to end in epoch 3
    assert both.said == [("resumed", "key", [1, 2]), ("reported", 1, False), ("reported", 2, False)]


@pytest.mark.parametrize(
    ("numbers", "ends", "end"),
    [
        ((1, 2, 3), {}, DONE),
        ((1, 2, 3), {3: End(State.DONE, 9.0)}, End(State.DONE, 9.0)),
        ((1, 2), {1: STOP}, STOP),  # the driver was killed between the report and the end
    ],
)
def test_a_trial_that_the_journal_completes_ends_and_the_next_one_comes(numbers, ends, end):
    both = Both(Job(TRIAL, saved(*numbers)), None, ends=ends)
    assert events_of(both).next() is None
    assert both.said[-2:] == [("ended", end, None), ("ended", end, "folder")]
    assert both.said.count(("reported", 2, False)) == (0 if 1 in ends else 1)


@pytest.mark.parametrize(
    ("numbers", "ends", "stop", "end"),
    [
        ((1, 2, 3), {}, [False, False, False], DONE),
        ((1, 2), {2: STOP}, [False, True], STOP),
        ((1, 2, 3), {3: STOP}, [False, False, False], STOP),  # it stops by itself
        ((1, 2, 1), {}, [False] * 3, End(State.FAILED, error="it ended before its last epoch")),
        ((3, 2), {}, [False, False], DONE),  # one that begins again repeats what is known
        ((), {}, [], End(State.FAILED, error="it ended before its last epoch")),
    ],
)
def test_a_trial_ends_as_the_source_says_or_by_its_last_epoch(numbers, ends, stop, end):
    events = events_of(both := Both(ends=ends))
    assert [events.reported(TRIAL, Epoch(number, 3, {})) for number in numbers] == stop
    assert both.said == [("reported", number, None) for number in numbers for _ in ("listener", "source")]
    events.completed(TRIAL, "folder")
    assert both.said[-2:] == [("ended", end, None), ("ended", end, "folder")]
    assert (events.furthest, events.ends) == ({}, {})


def test_a_trial_that_crashes_for_the_last_time_has_its_account_and_no_checkpoint():
    events = events_of(both := Both())
    events.is_final(TRIAL, ERROR, 0.0)
    events.failed(TRIAL, "an account")
    end = End(State.FAILED, error="an account")
    assert both.said == [("ended", end, None), ("ended", end, "")]
    assert not events.failures


def test_after_a_fault_nothing_is_told():
    events = events_of(both := Both(Job(TRIAL)))
    events.fault = BadInput("no objective")
    events.completed(TRIAL, "folder")
    assert not both.said
    with pytest.raises(Leave):
        events.next()


def test_ray_tune_leaves_its_loop_and_every_other_error_comes_through(monkeypatch):
    events = events_of(both := Both(Job(TRIAL)))
    with monkeypatch.context() as impatient:
        impatient.setattr(module, "LEAVE_SECONDS", 0.01)
        events.leave()  # it waits no longer than that
    assert not events._left.is_set()
    threading.Thread(target=events.until_left, args=(lambda: time.sleep(0.05),)).start()
    events.leave()  # it waits for the loop
    assert events._left.is_set()
    events.until_left(events.next)
    assert both.jobs
    with pytest.raises(ZeroDivisionError):
        events.until_left(lambda: 1 / 0)
