"""Asks the head of a Ray cluster to let this driver in, and watches it inside.

Ray itself would wait for minutes before a head that is silent, and say little. Without the head, and the process
through which this machine is in the cluster, the raylet, nothing continues: Ray waits a minute, says so in its own
words or not at all, and ends the process on the spot. Here the loss is noticed earlier, and whoever waits can clean up.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import ray

from mixlab.cluster import ray_private
from mixlab.errors import BadInput, HeadLost, first_line
from mixlab.processes import Result, in_background, repeated, runs_here

ENTRY_SECONDS = 15
LISTENER_SECONDS = 5
JOIN_SECONDS = 5  # the time in which a machine that is joining becomes a node
ASK_SECONDS = 0.5  # the pause between two questions
ANSWER_SECONDS = 1.5
LOST_SECONDS = 7.0  # without any answer, after which the head is lost; with the pauses, the user knows within 10
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # empty settings follow the greeting
ALERT = "\x15\3"  # how the answer of TLS to any other greeting begins
CALL_SECONDS = 0.5  # the longest that a call waits for tasks, so that it ends soon after Ctrl-C


def require_entrance(address: str) -> None:
    """Raise ``BadInput`` unless the head at ``address`` lets this driver in, and this machine is one of its nodes."""
    hint = "start one with `ray start --head`, or leave --address out to use this machine alone"
    try:
        require_listener(address)
        refusal = ray_private.refusal(address, ENTRY_SECONDS)
    except OSError as error:
        raise BadInput(f"no Ray cluster answers at --address {address!r} ({error}); {hint}") from None
    if asks_for_token(refusal):
        raise BadInput(
            f"the Ray cluster at --address {address!r} lets nobody in without its token: set RAY_AUTH_TOKEN as on "
            "its head, or copy the head's ~/.ray/auth_token to this machine"
        )
    if refusal:
        why = refusal.strip().splitlines()[-1]
        raise BadInput(f"no Ray cluster answers at --address {address!r} ({why}); {hint}")
    asked = time.monotonic()
    while not ray_private.is_node():
        if time.monotonic() > asked + JOIN_SECONDS:
            raise _no_node(address)
        time.sleep(ASK_SECONDS)


def require_listener(address: str) -> None:
    """Raise ``OSError`` if nobody answers at ``address``, or if the answer shows no head: Ray would wait long."""
    try:
        host, port = ray_private.place_of(address)
        with socket.create_connection((host, port), timeout=LISTENER_SECONDS) as connection:
            answer = _answer(connection)
    except ConnectionRefusedError as error:
        raise OSError(f"{error.strerror} by {host}") from None
    except ValueError as error:  # an impossible host
        raise OSError(error) from None
    tls = os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")
    if not tls and (not answer or answer.startswith(ALERT)):
        raise OSError("what listens there ends the connection, as a server that speaks TLS does")
    if answer and answer.isprintable():  # a head sends binary settings
        raise OSError(f"what listens there is no head, whose port is usually 6379: it says {answer!r}")


def _answer(connection: socket.socket) -> str:
    """Return the first line of what the other side answers to a client of HTTP/2; empty if it ends the connection.

    A head answers at once, whatever it is busy with: gRPC has threads of its own for that.
    """
    connection.settimeout(LOST_SECONDS)
    try:
        connection.sendall(HELLO)
        return connection.recv(100).partition(b"\n")[0].strip().decode(errors="replace")
    except TimeoutError:
        raise TimeoutError(f"what listens there gave no answer within {LOST_SECONDS:g} s") from None
    except OSError:
        return ""


def asks_for_token(refusal: str) -> bool:
    """Return whether ``refusal`` is Ray's message for a wrong or missing token."""
    return "RAY_AUTH_TOKEN" in refusal


def fault(address: str, error: Exception) -> BadInput:
    """Return why ``ray.init`` could not join the cluster at ``address``, from the error that it raised."""
    if ray_private.lacks_node(error):
        return _no_node(address)
    versions = ray_private.versions_of(error)
    if versions:
        return BadInput(
            "the Ray cluster at --address {!r} has Ray {} and Python {}, and this process has Ray {} and Python {}: "
            "give all machines the same".format(address, *versions)
        )
    return BadInput(f"no Ray cluster at --address {address!r}: {first_line(error)}")


def _no_node(address: str) -> BadInput:
    head = "HOST:PORT" if address == "auto" else address
    return BadInput(
        f"this machine is not a node of the Ray cluster at --address {address!r}: join it by "
        f"`ray start --address {head}`, with --num-cpus 0 if it is to train nothing"
    )


class Head:
    """The head of the cluster that this process is connected to, at the address that the user gave."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lost = threading.Event()
        self.fault: BaseException | None = None  # the error by which it cannot be watched
        self.call: Future[Any] | None = None  # the latest call of ``while_there``
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
            # The head is asked again, since both may just have been ended together. Ray ends this process in 15 s.
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
                "Ray's process on this machine has died, as by `ray stop` or for want of memory: the same command "
                "goes on"
            )
        return HeadLost(
            f"the head of the Ray cluster at --address {self.address!r} has died: it has not answered for "
            f"{LOST_SECONDS:.0f} s; the same command goes on, with the --address of another cluster if there is one"
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
        wait([future], timeout=ASK_SECONDS)
    error = future.exception()
    if isinstance(error, Exception) and head is not None and head.stays_silent():
        raise head.loss() from error  # the first sign of the loss
    return future.result()


def first_done(tasks: list[ray.ObjectRef], number: int = 1) -> list[ray.ObjectRef]:
    """Return the first tasks that are done, once there are this many; ``HeadLost`` as for :func:`while_there`."""
    done: list[ray.ObjectRef] = []
    while len(done) < number:
        done, _ = while_there(partial(ray.wait, tasks, num_returns=number, timeout=CALL_SECONDS))
    return done


def results(tasks: list[ray.ObjectRef]) -> list[Any]:
    """Return the results of tasks once all are done; raise what ``ray.get`` raises, and ``HeadLost``."""
    first_done(tasks, len(tasks))
    return while_there(partial(ray.get, tasks))
