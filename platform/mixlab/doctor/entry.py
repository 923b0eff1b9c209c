"""Checks who may enter the cluster: the driver with its token, and nobody without one."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping

from mixlab.cluster.connect import asks_for_token
from mixlab.doctor.checks import OK, RED, Finding

ANSWER_SECONDS = 30
WRONG = "0" * 64  # a token that no cluster has


def examine_entry(address: str) -> Finding | None:
    """Try the driver's token and a wrong one; return None if nobody answers at ``address``."""
    host, _, port = address.rpartition(":")
    try:
        if host:
            socket.create_connection((host, int(port)), timeout=5).close()  # Ray waits long for a dead head
    except (OSError, OverflowError):
        return None
    ours = _try(address, {})
    wrong = _try(address, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": WRONG})
    return judge_entry(*(_answer(attempt) for attempt in (ours, wrong)))


def judge_entry(ours: str, wrong: str) -> Finding | None:
    """Return the finding for the answers to our token and to a wrong one; an empty answer grants entry."""
    if wrong == "":
        fix = "start Ray everywhere with RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN"
        return Finding("entry", RED, "the cluster lets anybody in, who can then run anything; no node was asked", fix)
    if ours == "":
        return Finding("entry", OK, "the cluster asks for the token, and the driver has it")
    if asks_for_token(ours):
        fix = "copy the head's ~/.ray/auth_token to this machine, or set RAY_AUTH_TOKEN to the same here"
        return Finding("entry", RED, "the cluster refuses the driver's token; no node was asked", fix)
    return None


def _try(address: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    where = [] if address == "auto" else ["--address", address]
    return subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "health-check", *where],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _answer(attempt: subprocess.Popen[str]) -> str:
    """Return why an attempt was refused; an empty text if it was allowed."""
    try:
        error = attempt.communicate(timeout=ANSWER_SECONDS)[1]
    except subprocess.TimeoutExpired:
        attempt.kill()
        attempt.communicate()
        return "no answer"
    return (error or "refused") if attempt.returncode else ""
