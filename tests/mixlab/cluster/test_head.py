"""A lost head is noticed in time, and a silence that ends is none, by a clock that costs no time."""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from mixlab.cluster import head
from mixlab.errors import HeadLost
from mixlab.processes import name_of
from tests.endings import refused

PATIENCE = 10.0  # seconds from the loss to the sentence


class Clock:
    """Stands in for the time: a question takes ``takes`` seconds, and is answered while the head is there."""

    def __init__(self, takes: float = 0.0, silent: tuple[float, float] = (200.0, 200.0)) -> None:
        self.now = 0.0
        self.takes = takes
        self.silent = silent

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.now > 100.0

    def answers(self, *_: object) -> bool:
        there = not self.silent[0] <= self.now < self.silent[1]
        self.now += 0.0 if there else self.takes
        return there


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch) -> None:
    """Let there be a head that answers, and no raylet on this machine."""
    monkeypatch.setattr(head.ray_private, "head_client", lambda: None)
    monkeypatch.setattr(head.ray_private, "raylet", lambda: "")
    monkeypatch.setattr(head.ray_private, "head_answers", lambda *_: True)


def watched(clock: Clock, monkeypatch: pytest.MonkeyPatch, raylet: str = "") -> head.Head:
    """Return a watch that has run until it was over or the head was lost."""
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
    watch = watched(clock := Clock(takes, (dies, float("inf"))), monkeypatch)
    assert watch.lost.is_set()
    assert head.LOST_SECONDS <= clock.now - dies <= PATIENCE - head.ASK_SECONDS
    with pytest.raises(HeadLost, match="the head of the Ray cluster at --address 'head:6379' has died"):
        raise watch.loss()


@pytest.mark.parametrize("takes", [0.0, head.ANSWER_SECONDS])
def test_a_silence_that_ends_is_no_loss(takes, monkeypatch):
    assert not watched(Clock(takes, (20.0, 25.0)), monkeypatch).lost.is_set()


def test_the_end_of_the_raylet_is_said_at_once_and_is_not_that_of_the_head(monkeypatch):
    """Otherwise Ray would end the driver 15 s later, without a word, and its runs would stay RUNNING."""
    alive, gone = f"#{name_of(os.getpid())}", "#999999999@1"
    assert not watched(Clock(), monkeypatch, alive).lost.is_set()
    watch = watched(clock := Clock(), monkeypatch, gone)
    assert clock.now == head.ASK_SECONDS
    assert str(watch.loss()).startswith("Ray's process on this machine has died, as by `ray stop` or for want of")
    monkeypatch.setattr(head.ray_private, "head_answers", Mock(side_effect=[True, False]))
    assert head.Head("auto").look()  # both were ended just now
    both = watched(Clock(silent=(0.0, 200.0)), monkeypatch, gone)
    assert str(both.loss()).startswith("the head of the Ray cluster at --address 'head:6379' has died")


@pytest.fixture
def answers(monkeypatch) -> list[bool | Exception]:
    """Return what the head answers, one question after another, and the last for ever; the watch asks at once again."""
    found: list[bool | Exception] = [True]

    def answer(*_: object) -> bool:
        each = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(each, Exception):
            raise each
        return each

    monkeypatch.setattr(head.ray_private, "head_answers", answer)
    for name, seconds in {"ASK_SECONDS": 0.001, "CALL_SECONDS": 0.001, "LOST_SECONDS": 0.01}.items():
        monkeypatch.setattr(head, name, seconds)
    return found


def test_work_that_waits_for_a_lost_head_or_one_that_cannot_be_watched_is_left(answers):
    """An error of the watch itself, as after a change in Ray's client, is no loss of the head."""
    over = threading.Event()
    for answer, error in ((False, HeadLost), (TypeError("timeout is no argument"), RuntimeError)):
        answers[:] = [answer]
        with pytest.raises(error) as found, head.watching(head.Head("auto")):
            head.while_there(lambda: over.wait(20))
        assert found.value.__cause__ is (answer or None)
    over.set()


@pytest.mark.parametrize(
    ("then", "error"),
    [
        ([True], ConnectionError),  # the head is there
        ([False, False, True], ConnectionError),  # it is silent for a moment
        ([False], HeadLost),
        ([AttributeError("no such call")], ConnectionError),
    ],
)
def test_an_error_of_work_is_its_own_unless_the_head_is_lost(answers, then, error, monkeypatch):
    watch = head.Head("auto")
    monkeypatch.setattr(head, "LOST_SECONDS", 20.0 if True in then else 0.01)

    def work() -> None:
        answers[:] = then
        raise ConnectionError("a node is gone")

    with head.watching(watch), pytest.raises(error) as found:
        head.while_there(work)
    assert isinstance(found.value.__cause__ if error is HeadLost else found.value, ConnectionError)


SILENT = "no Ray cluster answers at --address 'auto' ({}); start one"
OUTSIDE = "this machine is not a node of the Ray cluster at --address '{}': join it by `ray start --address {}`, with"


@pytest.mark.parametrize(
    ("address", "refusal", "nodes", "sentence"),
    [
        ("auto", "", [True], ""),
        ("auto", "", [False, False, True], ""),  # it is just joining
        ("auto", "Traceback\nset RAY_AUTH_TOKEN\n", [True], "Ray cluster at --address 'auto' lets nobody in without"),
        ("auto", "Traceback\nIt is gone\n\n", [True], SILENT.format("It is gone")),
        ("auto", TimeoutError("no answer"), [True], SILENT.format("no answer")),
        ("auto", "", [False], OUTSIDE.format("auto", "HOST:PORT")),
        ("h:1", "", [False], OUTSIDE.format("h:1", "h:1")),
    ],
)
def test_who_may_not_enter_is_told_what_to_do(address, refusal, nodes, sentence, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(head, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=clock.wait))
    monkeypatch.setattr(head, "require_listener", lambda _: None)
    monkeypatch.setattr(head.ray_private, "refusal", Mock(side_effect=[refusal]))
    monkeypatch.setattr(head.ray_private, "is_node", lambda: nodes.pop(0) if len(nodes) > 1 else nodes[0])
    with refused(sentence) if sentence else contextlib.nullcontext():
        head.require_entrance(address)
    assert clock.now <= head.JOIN_SECONDS + 1


@pytest.mark.parametrize(
    ("says", "fault", "tls"),
    [
        (b"HTTP/1.1 400 Bad\r\nServer: x", "is no head, whose port is usually 6379: it says 'HTTP/1.1 400 Bad'", "0"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it says 'SSH-2.0-OpenSSH_9.2'", "0"),
        (b"\0\0\x18\4\0\0\0\0\0\0\4\0@", "", "0"),  # a head
        (b"\x15\3\3\0\2\2\x46", "", "1"),  # a head with TLS
        (b"\x15\3\3\0\2\2\x46", "ends the connection, as a server that speaks TLS does", "0"),
        (None, "ends the connection, as a server that speaks TLS does", "0"),
        (None, "", "1"),
        (b"", "what listens there gave no answer within 0.1 s", "0"),
    ],
)
def test_what_answers_like_no_head_is_quoted(says, fault, tls, monkeypatch):
    monkeypatch.setenv("RAY_USE_TLS", tls)
    monkeypatch.setattr(head, "LOST_SECONDS", 0.1)
    with socket.create_server(("", 0)) as server, ThreadPoolExecutor(1) as threads:
        accepted = threads.submit(lambda: server.accept()[0])
        ready = threads.submit(lambda: accepted.result().close() if says is None else accepted.result().sendall(says))
        with pytest.raises(OSError, match=re.escape(fault)) if fault else contextlib.nullcontext():
            head.require_listener(f"127.0.0.1:{server.getsockname()[1]}")
        ready.result()
        if says:
            assert accepted.result().recv(100) == head.HELLO
        accepted.result().close()


NO_NODE, NO_ROUTE = RuntimeError("No node info found"), ConnectionError("No route\nand more")
VERSIONS = RuntimeError("Version mismatch:\nRay: 2.1.0\nPython: 3.10.4\nThis process:\nRay: 2.56.0\nPython: 3.11.7")


@pytest.mark.parametrize(
    ("error", "cause", "sentence"),
    [
        (ConnectionError("Failed to connect"), NO_NODE, OUTSIDE.format("h:1", "h:1")),
        (NO_ROUTE, None, "no Ray cluster at --address 'h:1': No route"),
        (
            VERSIONS,
            None,
            "has Ray 2.1.0 and Python 3.10.4, and this process has Ray 2.56.0 and Python 3.11.7: give",
        ),
    ],
)
def test_why_ray_cannot_join_a_cluster_is_a_sentence(error, cause, sentence):
    error.__cause__ = cause
    with refused(sentence):
        raise head.fault("h:1", error)


def test_tasks_are_waited_for_by_calls_that_are_short(monkeypatch):
    asked = []

    def wait(tasks: list[str], *, num_returns: int, timeout: float) -> tuple[list[str], list[str]]:
        asked.append((num_returns, timeout))
        return tasks[: len(asked) - 1], tasks[len(asked) - 1 :]

    monkeypatch.setattr(head.ray, "wait", wait)
    monkeypatch.setattr(head.ray, "get", lambda tasks: [task.upper() for task in tasks])
    assert head.results(["a", "b"]) == ["A", "B"]
    assert asked == [(2, head.CALL_SECONDS)] * 3
    asked.clear()
    assert head.first_done(["a", "b"]) == ["a"]


def test_no_thread_is_in_a_call_once_the_watch_is_over(monkeypatch):
    """Ray crashes the process if it is shut down, or if Python ends, while a thread is in a call into it."""
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
