"""Asks the head of a cluster to let this driver in, before Ray does, which would wait for minutes and say little."""

import os
import socket
import time

from mixlab.cluster import ray_private
from mixlab.errors import BadInput, first_line

ANSWER_SECONDS = 15
LISTENER_SECONDS = 5
# HTTP/2, which a head speaks, begins with these words and a frame of settings, to which the answer is such a frame.
SETTINGS = 4  # the kind of that frame
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, SETTINGS, 0, 0, 0, 0, 0))
JOIN_SECONDS = 5  # in which a machine becomes a node that is just joining


def require_entrance(address: str) -> None:
    """Raise ``BadInput`` unless the head at ``address`` lets this driver in, and this machine is one of its nodes."""
    hint = "start one with `ray start --head`, or leave --address out to use this machine alone"
    try:
        require_listener(address)
        refusal = ray_private.refusal(address, ANSWER_SECONDS)
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
        time.sleep(0.5)


def require_listener(address: str) -> None:
    """Raise ``OSError`` unless what listens at ``address`` may be a head: Ray would wait long for anything else."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        listener = socket.create_connection((host, int(port)), timeout=LISTENER_SECONDS)
    except (OverflowError, UnicodeError) as error:  # of a port and of a host that cannot be
        raise OSError(error) from None
    with listener, listener.makefile("rb") as answer:
        if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):  # which has another greeting
            return
        listener.sendall(GREETING)
        if answer.read(4)[3:] != bytes((SETTINGS,)):
            raise ConnectionError("what listens there is no head of Ray")


def asks_for_token(refusal: str) -> bool:
    """Return whether ``refusal`` is Ray's message for a wrong or missing token."""
    return "RAY_AUTH_TOKEN" in refusal


def fault(address: str, error: Exception) -> BadInput:
    """Return what keeps ``ray.init`` from joining the cluster at ``address``, by the error that it raised."""
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
