"""Has what trials need, data sets and weights, on every machine where they will run, before any of them starts."""

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ray

from mixlab.cluster import connect, head
from mixlab.cluster.nodes import alive, call_on, names_of
from mixlab.errors import BadInput, first_line
from mixlab.spec.study import Config, Trainable, Trial

PREPARED = ("dataset", "folder", "backbone", "pretrained")  # keys on which it depends what must be there


@contextlib.contextmanager
def connected(options: argparse.Namespace, train: Trainable, trials: Sequence[Trial]) -> Iterator[dict[str, float]]:
    """``cluster.connected``, once what ``trials`` need is there.

    On a cluster that runs already the nodes have it, each under a data root of its own, and not this machine. A node
    that joins later has it by its first trial.

    Raises:
        BadInput: something cannot be had; or nobody answers at the address.
    """
    data_root = Path(options.data_root)
    if options.address == "local":
        prepare(train, trials, data_root)
    with connect.connected(options.address, train) as resources:
        if options.address != "local":
            gpus = options.gpus_per_trial != 0 and resources.get("GPU", 0) > 0
            _prepare_nodes(train, trials, data_root.absolute(), gpus)
        yield resources


def prepare(train: Trainable, trials: Sequence[Trial], data_root: Path) -> None:
    """Have each data set, and each network's weights, on this machine; ``BadInput`` where that is not possible."""
    fault = _fault(train, _different(trials), data_root)
    if fault:
        raise BadInput(fault)


def _prepare_nodes(train: Trainable, trials: Sequence[Trial], data_root: Path, gpus: bool) -> None:
    """The same on each node that may run a trial, all at once."""
    nodes = alive()
    names = names_of(nodes)
    kind = "GPU" if gpus else "CPU"
    working = [node for node, found in nodes.items() if found["Resources"].get(kind, 0) > 0]
    faults = []
    answers = {node: call_on(node, _fault, train, _different(trials), data_root) for node in working}
    for node, answer in answers.items():
        try:
            fault = head.while_there(partial(ray.get, answer))
        except ray.exceptions.RayError as error:
            last = str(error).strip().splitlines()[-1]
            fault = f"it cannot run a task ({last}); `python -m mixlab.doctor` says more"
        if fault:
            faults.append(f"{names[node]}: {fault}")
    if faults:
        more = f" (and {len(faults) - 1} more of {len(working)} nodes)" if len(faults) > 1 else ""
        raise BadInput(f"on the node {faults[0]}{more}")


def _fault(train: Trainable, configs: Sequence[Config], data_root: Path) -> str:
    """Why what is needed cannot be had on the machine where this is called; empty when it is there."""
    try:
        for config in configs:
            train.prepare(config, data_root)
    except (ValueError, OSError) as error:
        return first_line(error)
    return ""


def _different(trials: Sequence[Trial]) -> list[Config]:
    """One configuration of all that need the same."""
    configs: Mapping[Any, Config] = {tuple(str(t.config.get(key)) for key in PREPARED): t.config for t in trials}
    return list(configs.values())
