"""Who is let into the cluster: the driver with its token, and nobody without."""

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
    """Knock with the driver's token and with a wrong one; None where nobody answers at ``address``."""
    host, _, port = address.rpartition(":")
    try:
        if host:
            socket.create_connection((host, int(port)), timeout=5).close()  # Ray waits long for a dead head
    except (OSError, OverflowError):
        return None
    ours = _knock(address, {})
    wrong = _knock(address, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": WRONG})
    return judge_entry(*(_answer(knocking) for knocking in (ours, wrong)))


def judge_entry(ours: str, wrong: str) -> Finding | None:
    """What to say of the answers to our token and to a wrong one; an empty answer lets in."""
    if wrong == "":
        mend = "start Ray everywhere with RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN"
        return Finding("entry", RED, "the cluster lets anybody in, who can then run anything; no node was asked", mend)
    if ours == "":
        return Finding("entry", OK, "the cluster asks for the token, and the driver has it")
    if asks_for_token(ours):
        mend = "copy the head's ~/.ray/auth_token to this machine, or set RAY_AUTH_TOKEN to the same here"
        return Finding("entry", RED, "the cluster refuses the driver's token; no node was asked", mend)
    return None


def _knock(address: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    where = [] if address == "auto" else ["--address", address]
    return subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "health-check", *where],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _answer(knocking: subprocess.Popen[str]) -> str:
    """Empty for a knock that was let in."""
    try:
        error = knocking.communicate(timeout=ANSWER_SECONDS)[1]
    except subprocess.TimeoutExpired:
        knocking.kill()
        knocking.communicate()
        return "no answer"
    return (error or "refused") if knocking.returncode else ""
