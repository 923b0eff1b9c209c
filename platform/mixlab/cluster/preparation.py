"""Fetches the data sets and weights that trials need to every machine where they will run, before any trial starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from mixlab.cluster import head
from mixlab.cluster.nodes import alive, call_on, names_of
from mixlab.errors import BadInput, first_line
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.trial import Trial


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
