"""Watches the head of the Ray cluster, and the process through which this machine is in it, the raylet. Without them
nothing continues, and Ray itself waits a minute, says so in its own words or not at all, and ends the process on the
spot: here the loss is noticed earlier, and whoever waits can clean up."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import ray

from mixlab.cluster import ray_private
from mixlab.errors import HeadLost
from mixlab.processes import Result, in_background, repeated, runs_here

ASK_SECONDS = 0.5  # the pause between two questions
ANSWER_SECONDS = 1.5
LOST_SECONDS = 7.0  # the time without any answer; with the pauses, the loss is said within 10
CALL_SECONDS = 0.5  # the longest that a call waits for tasks, so that it ends soon after Ctrl-C


class Head:
    """The head of the cluster that this process is connected to, at the address that the user gave."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lost = threading.Event()
        self.fault: BaseException | None = None  # why it cannot be watched
        self.call: Future[Any] | None = None  # the last one of ``while_there``
        self._client = ray_private.head_client()
        self._raylet = ray_private.raylet()
        self._without_raylet = False
        self._silent_since: float | None = None

    def look(self) -> bool:
        """Ask once; return False if the head is lost, or cannot be watched. Only a missing answer is silence."""
        asked = time.monotonic()
        try:
            answers = self.answers()
        except Exception as fault:
            self.fault = fault
            return False
        if answers:
            self._silent_since = None
            # A second answer, since both may just have been ended together. Ray will end this process in 15 s.
            if self._raylet and not runs_here(self._raylet) and self.answers():
                self._without_raylet = True
                self.lost.set()
            return not self.lost.is_set()
        self._silent_since = asked if self._silent_since is None else self._silent_since
        if time.monotonic() - self._silent_since >= LOST_SECONDS:
            self.lost.set()
        return not self.lost.is_set()

    def answers(self) -> bool:
        """Return whether the head answers now."""
        return ray_private.head_answers(self._client, ANSWER_SECONDS)

    def stays_silent(self) -> bool:
        """Return whether the head is lost; if it is silent now, wait until that is known."""
        while self.look() and self._silent_since is not None:
            self.lost.wait(ASK_SECONDS)
        return self.lost.is_set()

    def loss(self) -> HeadLost:
        """Return the sentence for the user."""
        if self._without_raylet:
            return HeadLost(
                "Ray's process on this machine has died, as by `ray stop` or for want of memory: finished epochs are "
                "kept, and the same command goes on"
            )
        return HeadLost(
            f"the head of the Ray cluster at --address {self.address!r} has died: it has not answered for "
            f"{LOST_SECONDS:.0f} s. Finished epochs are kept; the same command goes on, with the --address of "
            f"another cluster if there is one"
        )


_connected: Head | None = None


@contextlib.contextmanager
def watching(head: Head) -> Iterator[None]:
    """Watch the head of the cluster that Ray is connected to, inside the block.

    Afterwards no thread is in a call into Ray, unless the head is silent: Ray crashes if it is shut down, or if the
    process ends, during one. Ctrl-C may have left a call behind.
    """
    global _connected
    _connected = head
    try:
        with repeated(head.look, ASK_SECONDS, "head-watch"):
            yield
    finally:
        _connected = None
        if head.call is not None:
            wait([head.call], timeout=2 * CALL_SECONDS)


def while_there(work: Callable[[], Result]) -> Result:
    """Return the result of ``work``, which waits for the connected cluster.

    It runs in a thread of its own, because a call into Ray may not come back from a lost head.

    Raises:
        HeadLost: the head was lost meanwhile; ``work`` is abandoned.
    """
    head = _connected
    future: Future[Result] = Future()
    if head is not None:
        head.call = future
    in_background(work, future, "cluster-work")
    while not future.done():
        if head is not None and head.lost.is_set():
            raise head.loss()
        if head is not None and head.fault is not None:
            raise RuntimeError("the head of the Ray cluster cannot be watched") from head.fault
        wait([future], timeout=0.5)
    error = future.exception()
    if isinstance(error, Exception) and head is not None and head.stays_silent():
        raise head.loss() from error  # the first sign of the loss
    return future.result()


def first_done(tasks: Sequence[ray.ObjectRef], number: int = 1) -> list[ray.ObjectRef]:
    """Return the first tasks that are done, once there are this many; ``HeadLost`` as for :func:`while_there`."""
    done: list[ray.ObjectRef] = []
    while len(done) < number:
        done, _ = while_there(partial(ray.wait, list(tasks), num_returns=number, timeout=CALL_SECONDS))
    return done


def results(tasks: Sequence[ray.ObjectRef]) -> list[Any]:
    """Return the results of tasks once all are done; raise what ``ray.get`` raises, and ``HeadLost``."""
    first_done(tasks, len(tasks))
    return while_there(partial(ray.get, list(tasks)))
