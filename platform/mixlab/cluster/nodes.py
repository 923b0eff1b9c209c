"""Calls a function on nodes of the connected cluster, by tasks that are pinned to them."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

Node = Mapping[str, Any]  # as Ray describes it


def alive() -> dict[str, Node]:
    """Return every node by its id."""
    return {str(node["NodeID"]): node for node in ray.nodes() if node["Alive"]}


def resources() -> list[dict[str, float]]:
    """Return the resources of each node, under Ray's names."""
    return [node["Resources"] for node in alive().values()]


def names_of(nodes: Mapping[str, Node]) -> dict[str, str]:
    """Return the host name of each node, with the address if several share it, and Ray's id if that is not enough."""
    full = {node: f"{info['NodeManagerHostname']} ({info['NodeManagerAddress']})" for node, info in nodes.items()}
    count = Counter(full.values())
    return {node: name if count[name] == 1 else f"{name[:-1]}, {node[:8]})" for node, name in full.items()}


def call_on(
    node: str, function: Callable[..., Any], *arguments: Any, cpus: float = 0, gpus: float = 0
) -> ray.ObjectRef:
    """Return a reference to the answer. Unless processors are requested, a busy cluster answers as well."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, scheduling_strategy=there)(function)
    return task.remote(*arguments)
