"""Which errors are final is decided without Ray: the same one at the same epoch would come again."""

from types import SimpleNamespace
from typing import Any

import pytest

from mixlab.cluster.events import Events, Leave
from mixlab.cluster.tune_private import Failure
from mixlab.errors import BadInput
from mixlab.search.history import History
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import Trial
from tests.mixlab.search_toy import TRAIN, InMemory, proposed, search

TRIAL = Trial("key", "arm", {}, 0, {})
ERROR = Failure("Traceback\n  File\nRuntimeError: a shape is wrong", raised=True)
LOST = Failure("a node died", raised=False)
FULL = Failure("torch.OutOfMemoryError: CUDA out of memory.", raised=True)


@pytest.fixture
def events() -> Events:
    return Events(None, None, lambda: 1)


@pytest.mark.parametrize(
    ("first", "second", "again"),
    [
        ((0, ERROR), (0, ERROR), True),
        ((3, ERROR), (3, ERROR), True),
        ((3, ERROR), (4, ERROR), False),  # it came further
        ((3, ERROR), (3, Failure("Traceback\nRuntimeError: another", raised=True)), False),
        ((3, LOST), (3, LOST), False),
        ((3, FULL), (3, FULL), False),  # it gets a larger share of the GPU
    ],
)
def test_the_same_error_at_the_same_epoch_is_final(events, first, second, again):
    found = []
    for epoch, failure in (first, second):
        if epoch:
            events.furthest[TRIAL.key] = Epoch(epoch, 9, {})
        found.append(events.is_final(TRIAL, failure))
    assert found == [False, again]


def test_another_trial_with_the_same_error_gets_its_own_second_attempt(events):
    other = Trial("other", "arm", {}, 1, {})
    assert not events.is_final(TRIAL, ERROR)
    assert not events.is_final(other, ERROR)
    assert events.is_final(TRIAL, ERROR)


def test_a_source_that_cannot_continue_stops_the_trial_and_then_all():
    source = proposed(History(search(objective="val_topp1"), TRAIN, InMemory()))
    listener: Any = SimpleNamespace(reported=lambda *_: None)
    events = Events(source, listener, lambda: 1)
    job = events.next()
    assert events.reported(job.trial, Epoch(1, 3, {"val_top1": 5.0}))
    assert isinstance(events.fault, BadInput)
    with pytest.raises(Leave):
        events.go_on()
