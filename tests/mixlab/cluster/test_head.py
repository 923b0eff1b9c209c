"""A lost head is noticed in time, and a silence that ends is none, by a clock that costs no time."""

import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from mixlab.cluster import head
from mixlab.errors import HeadLost
from mixlab.processes import name_of

PATIENCE = 10.0  # seconds from the loss to the sentence
POLL_SECONDS = 0.5  # the most that whoever waits sleeps between two looks at the watch


class Clock:
    """Stands in for the time: a question takes ``takes`` seconds, and is answered while the head is there."""

    def __init__(self, takes: float, silent: tuple[float, float], until: float = 100.0) -> None:
        self.now = 0.0
        self.takes = takes
        self.silent = silent
        self.until = until

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.now > self.until

    def answers(self, *_: object) -> bool:
        there = not self.silent[0] <= self.now < self.silent[1]
        self.now += 0.0 if there else self.takes
        return there


def watched(clock: Clock, monkeypatch: pytest.MonkeyPatch, raylet: str = "") -> head.Head:
    """Return a watch that has run until it was over or the head was lost."""
    monkeypatch.setattr(head.ray_private, "head_client", lambda: None)
    monkeypatch.setattr(head.ray_private, "raylet", lambda: raylet)
    monkeypatch.setattr(head.ray_private, "head_answers", clock.answers)
    monkeypatch.setattr(head, "time", SimpleNamespace(monotonic=lambda: clock.now))
    watch = head.Head("head:6379")
    while not clock.wait(head.ASK_SECONDS) and watch.look():
        pass
    return watch


@pytest.mark.parametrize("takes", [0.0, 0.7, head.ANSWER_SECONDS], ids=["refused", "slow", "silent"])
@pytest.mark.parametrize("dies", [20.0, 20.9])
def test_a_lost_head_is_said_within_ten_seconds(takes, dies, monkeypatch):
    clock = Clock(takes, (dies, float("inf")))
    watch = watched(clock, monkeypatch)
    assert watch.lost.is_set()
    assert clock.now - dies + POLL_SECONDS <= PATIENCE
    assert clock.now - dies >= head.LOST_SECONDS
    with pytest.raises(HeadLost, match="the head of the Ray cluster at --address 'head:6379' has died"):
        raise watch.loss()


@pytest.mark.parametrize("takes", [0.0, head.ANSWER_SECONDS])
def test_a_silence_that_ends_is_no_loss(takes, monkeypatch):
    assert not watched(Clock(takes, (20.0, 25.0)), monkeypatch).lost.is_set()


def test_the_end_of_the_raylet_is_said_at_once_and_is_not_that_of_the_head(monkeypatch):
    """Ray ended the driver 15 s later, without a word, and its runs stayed RUNNING."""
    alive, gone = f"#{name_of(os.getpid())}", "#999999999@1"
    assert not watched(Clock(0.0, (200.0, 200.0)), monkeypatch, alive).lost.is_set()
    clock = Clock(0.0, (200.0, 200.0))
    watch = watched(clock, monkeypatch, gone)
    assert clock.now == head.ASK_SECONDS
    assert str(watch.loss()).startswith("Ray's process on this machine has died, as by `ray stop` or for want of")
    both = watched(Clock(0.0, (0.0, 200.0)), monkeypatch, gone)
    assert str(both.loss()).startswith("the head of the Ray cluster at --address 'head:6379' has died")


def test_no_thread_is_in_a_call_once_the_watch_is_over(monkeypatch):
    """Ray crashes the process if it is shut down, or if Python ends, while a thread is in a call into it."""
    monkeypatch.setattr(head.ray_private, "head_client", lambda: None)
    monkeypatch.setattr(head.ray_private, "raylet", lambda: "")
    monkeypatch.setattr(head.ray_private, "head_answers", lambda *_: True)
    monkeypatch.setattr(head, "CALL_SECONDS", 0.1)
    returned = threading.Event()

    def call() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(head.CALL_SECONDS)
        returned.set()

    with pytest.raises(KeyboardInterrupt), head.watching(head.Head("local")):
        head.while_there(call)
    assert returned.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "head-watch"]
