"""Asks every node of the connected cluster for its facts, by a task that runs on that node."""

import time
from dataclasses import replace

import ray

from mixlab.cluster.nodes import alive, call_on, names_of
from mixlab.doctor.checks import OK, RED, Finding
from mixlab.doctor.facts import Facts, Question, collect
from mixlab.errors import first_line

ANSWER_SECONDS = 120  # the first task of a node may have to unpack the code and import torch


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
        there = ray.get(call_on(node, lambda: time.time()), timeout=30)
        after = time.time()
        tries.append(((after - before) / 2, there - (before + after) / 2))
    error, skew = min(tries)
    return skew, error
