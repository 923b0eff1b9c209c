"""Checks who may enter the cluster: the driver with its token, and nobody without one."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from mixlab.cluster import ray_private
from mixlab.cluster.entrance import asks_for_token, require_listener
from mixlab.doctor.checks import OK, RED, Finding

ANSWER_SECONDS = 30
WITH_WRONG_TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}  # which no cluster has


def examine_entry(address: str) -> list[Finding]:
    """Try the driver's token and a wrong one; return the finding, and none if nobody answers at ``address``."""
    try:
        require_listener(address)
    except OSError:
        return []
    with ThreadPoolExecutor() as pool:
        return judge_entry(*pool.map(partial(_answer, address), ({}, WITH_WRONG_TOKEN)))


def judge_entry(ours: str, wrong: str) -> list[Finding]:
    """Return the finding for the answers to our token and to a wrong one; an empty answer grants entry."""
    if wrong == "":
        fix = "start Ray everywhere with RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN"
        return [Finding("entry", RED, "the cluster lets anybody in, who can then run anything; no node was asked", fix)]
    if ours == "":
        return [Finding("entry", OK, "the cluster asks for the token, and the driver has it")]
    if asks_for_token(ours):
        fix = "copy the head's ~/.ray/auth_token to this machine, or set RAY_AUTH_TOKEN to the same here"
        return [Finding("entry", RED, "the cluster refuses the driver's token; no node was asked", fix)]
    return []


def _answer(address: str, environment: Mapping[str, str]) -> str:
    """Return why a driver with this environment is refused; an empty text if it is let in."""
    try:
        return ray_private.refusal(address, ANSWER_SECONDS, **environment)
    except TimeoutError:
        return "no answer"
