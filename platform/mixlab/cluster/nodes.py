"""Calls functions on nodes of the connected cluster, and so fetches there what trials need before they start."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mixlab.cluster import head
from mixlab.errors import BadInput, first_line
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.trial import Trial

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
    on_node = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, scheduling_strategy=on_node)(function)
    return task.remote(*arguments)


def prepare(train: CompleteTrainable, trials: Sequence[Trial], data_root: Path) -> None:
    """Fetch each data set and each network's weights to this machine; raise ``BadInput`` if that is impossible."""
    fault = _fault(train, train.to_prepare(trials), data_root)
    if fault:
        raise BadInput(fault)


def prepare_nodes(train: CompleteTrainable, trials: Sequence[Trial], data_root: Path, gpus: bool) -> None:
    """Fetch the same to each node of the connected cluster that may run a trial, all at once.

    The nodes need it, each under a data root of its own, and this machine does not. A node that joins later fetches it
    with its first trial. Trials that use ``gpus`` may run only on nodes that have one.

    Raises:
        BadInput: something cannot be fetched.
    """
    nodes = alive()
    names = names_of(nodes)
    kind = "GPU" if gpus else "CPU"
    working = [node for node, found in nodes.items() if found["Resources"].get(kind, 0) > 0]
    faults = []
    answers = {node: call_on(node, _fault, train, train.to_prepare(trials), data_root) for node in working}
    for node, answer in answers.items():
        try:
            (fault,) = head.results([answer])
        except ray.exceptions.RayError as error:
            if node not in alive():
                continue  # it was lost meanwhile: no trial will run there
            last = str(error).strip().splitlines()[-1]
            fault = f"it cannot run a task ({last}); `python -m mixlab.doctor` says more"
        if fault:
            faults.append(f"{names[node]}: {fault}")
    if faults:
        more = f" (and {len(faults) - 1} more of {len(working)} nodes)" if len(faults) > 1 else ""
        raise BadInput(f"on the node {faults[0]}{more}")


def _fault(train: CompleteTrainable, settings: Sequence[Any], data_root: Path) -> str:
    """Return why the machine where this is called cannot get what is needed; empty when it has everything."""
    try:
        for each in settings:
            train.prepare(each, data_root)
    except train.final + (ValueError, OSError) as error:  # noqa: RUF005
        return first_line(error)
    return ""
