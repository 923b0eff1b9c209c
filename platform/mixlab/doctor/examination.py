"""Tries who may enter a cluster, and asks every node of the connected one for its facts, by a task on that node."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import ray

from mixlab.cluster import ray_private
from mixlab.cluster.head import asks_for_token, require_listener
from mixlab.cluster.nodes import alive, call_on, names_of
from mixlab.doctor.checks import OK, RED, Finding
from mixlab.doctor.facts import Facts, Question, collect
from mixlab.errors import first_line

ENTRY_SECONDS = 30
ANSWER_SECONDS = 120  # the first task of a node may have to unpack the code and import torch
WITH_WRONG_TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}  # no cluster has this token


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
        return ray_private.refusal(address, ENTRY_SECONDS, **environment)
    except TimeoutError:
        return "no answer"


def examine(asked: Question) -> tuple[list[Facts], list[Finding]]:
    """Return the facts of each node that answers, and findings about the others."""
    nodes = alive()
    names = names_of(nodes)
    # A node without processors, such as the driver's may be, trains nothing and reads no data set.
    without = replace(asked, dataset=None)
    questions = {node: asked if found["Resources"].get("CPU") else without for node, found in nodes.items()}
    answers = {node: call_on(node, collect, questions[node], names[node]) for node in nodes}
    ray.wait(list(answers.values()), num_returns=len(answers), timeout=ANSWER_SECONDS)
    facts, faults = [], []
    for node, answer in answers.items():
        try:
            found = ray.get(answer, timeout=0)
            skew, error = _skew(node)
        except ray.exceptions.GetTimeoutError:
            fix = "look at that machine, and at its raylet.log in Ray's session_latest/logs"
            faults.append(Finding("nodes", RED, f"{names[node]} did not answer within {ANSWER_SECONDS} s", fix))
        except ray.exceptions.RayError as problem:
            text = f"{names[node]} cannot run a task: {first_line(problem)}"
            faults.append(Finding("nodes", RED, text, "start Ray there again, with the versions of the driver"))
        else:
            gpus = float(nodes[node]["Resources"].get("GPU", 0))
            facts.append(replace(found, clock_skew=skew, clock_error=error, ray_gpus=gpus))
    return facts, faults or [Finding("nodes", OK, f"{len(facts)} answer: {', '.join(names.values())}")]


def _skew(node: str) -> tuple[float, float]:
    """Return how many seconds the node's clock is ahead, and the error of that: the best of three round trips."""
    tries = []
    for _ in range(3):
        before = time.time()
        node_time = ray.get(call_on(node, lambda: time.time()), timeout=30)
        after = time.time()
        tries.append(((after - before) / 2, node_time - (before + after) / 2))
    error, skew = min(tries)
    return skew, error
