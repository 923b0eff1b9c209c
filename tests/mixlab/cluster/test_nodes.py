"""The data sets and weights that the cells of a study need are each fetched once, on every node that is there."""

import re
from contextlib import nullcontext
from typing import Any

import pytest
import ray
from ray.exceptions import TaskUnschedulableError

from mixlab.cluster import connect, nodes, packing
from mixlab.cluster.resources import Share
from mixlab.errors import BadInput
from mixlab.spec.trial import Trial
from tests.endings import refused
from tests.mixlab.spec.minimal import TRAIN, with_attributes


def test_data_and_weights_are_had_once_each(tmp_path):
    asked: list[tuple[str, str]] = []
    needed = ("dataset", "backbone")
    train = with_attributes(
        prepared=needed, prepare=lambda config, _: asked.append(tuple(config[key] for key in needed))
    )
    trials = [
        Trial("key", "arm", {}, seed, config := {"dataset": dataset, "backbone": backbone, "lr": seed}, config)
        for seed in (0, 1)
        for dataset in ("birds", "planes")
        for backbone in ("small", "large")
    ]
    nodes.prepare(train, trials, tmp_path)
    assert asked == [(d, b) for d in ("birds", "planes") for b in ("small", "large")]


def cluster_of(there: set[str], silent: str, leaves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ray know nodes, of which one cannot run a task: it ``leaves`` the cluster at the first, or it stays."""
    node = {"Resources": {"CPU": 1, "GPU": 1}, "NodeManagerHostname": "host", "NodeManagerAddress": "127.0.0.1"}

    def answer(asked: Any) -> Any:
        if isinstance(asked, list):
            return [answer(each) for each in asked]
        if asked == silent:
            there.difference_update({silent} if leaves else ())
            raise TaskUnschedulableError("no such node")
        return (2.0, 3.0) if asked == "stays" else ""

    monkeypatch.setattr(ray, "get", answer)
    monkeypatch.setattr(ray, "wait", lambda tasks, **_: (tasks, []))
    for module in (nodes, connect):
        monkeypatch.setattr(module, "alive", lambda: dict.fromkeys(sorted(there), node))
        monkeypatch.setattr(module, "call_on", lambda name, *_, **__: name)
    monkeypatch.setattr(packing, "_needed", lambda *_: [1.0])


TRIAL = Trial("key", "arm", {}, 0, {}, {})


def test_a_node_that_is_lost_meanwhile_is_left_out(tmp_path, monkeypatch):
    cluster_of(there := {"gone"}, "gone", True, monkeypatch)
    nodes.prepare_nodes(TRAIN, [TRIAL], tmp_path, gpus=False)
    assert not there
    cluster_of({"gone"}, "gone", True, monkeypatch)
    with refused("--gpus-per-trial auto: every node with a GPU has left the cluster; start one again"):
        packing.measure([TRIAL], TRAIN, Share(1, 1), tmp_path)


@pytest.mark.parametrize(
    ("gpus", "without", "asked", "said"),
    [
        (True, {"gpu1", "gpu2", "cpus"}, ["gpu1", "gpu2"], "gpu (10.0.0.2, gpu1): no disk (and 1 more of 2 nodes)"),
        (False, {"cpus"}, ["cpus", "gpu1", "gpu2"], "host (10.0.0.1): no disk"),
        (False, set(), ["cpus", "gpu1", "gpu2"], None),
    ],
)
def test_each_node_that_may_run_a_trial_is_asked(tmp_path, monkeypatch, gpus, without, asked, said):
    of_gpu = {"Resources": {"CPU": 1.0, "GPU": 1.0}, "NodeManagerHostname": "gpu", "NodeManagerAddress": "10.0.0.2"}
    of_cpus = {"Resources": {"CPU": 4.0}, "NodeManagerHostname": "host", "NodeManagerAddress": "10.0.0.1"}
    desk = {**of_cpus, "Resources": {}, "NodeManagerHostname": "desk"}
    there = {"desk": desk, "cpus": of_cpus, "gpu1": of_gpu, "gpu2": of_gpu}
    found: list[str] = []
    monkeypatch.setattr(nodes, "alive", lambda: there)
    monkeypatch.setattr(nodes, "call_on", lambda node, *_: found.append(node) or node)
    monkeypatch.setattr(nodes.head, "results", lambda tasks: ["no disk" if tasks[0] in without else ""])
    with pytest.raises(BadInput, match=re.escape(f"on the node {said}") + "$") if said else nullcontext():
        nodes.prepare_nodes(TRAIN, [], tmp_path, gpus)
    assert found == asked


def test_a_node_that_stays_and_cannot_run_a_task_is_a_sentence(tmp_path, monkeypatch):
    cluster_of({"broken"}, "broken", False, monkeypatch)
    with refused("on the node host (127.0.0.1): it cannot run a task (", "no such node"):
        nodes.prepare_nodes(TRAIN, [TRIAL], tmp_path, gpus=False)
    with refused("--gpus-per-trial auto: ", "no such node"):
        packing.measure([TRIAL], TRAIN, Share(1, 1), tmp_path)
