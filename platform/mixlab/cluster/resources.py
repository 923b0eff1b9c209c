"""The resources of a trial: what is asked for, and what there is, as far as that is known without Ray."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixlab.errors import BadInput
from mixlab.options import AUTO, Options

STEPS = 10_000  # Ray counts processors and GPUs in ten-thousandths
LEAST = 1 / STEPS
TURNS = 4  # trials that share a GPU take turns on it: from so many on, another gains nothing (3.7 to 4.5 on an H100)


@dataclass(frozen=True)
class Share:
    """The resources of one trial."""

    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """Return the torch threads of a trial: its whole processors, at least one."""
        return max(1, int(self.cpus))

    @property
    def processes(self) -> int:
        """Return the number of processes that train a trial together: one for each whole GPU, at least one."""
        return max(1, int(self.gpus))

    def slots(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """Return how many trials fit at a time on nodes with these resources, at least one."""
        return max(1, sum(map(self._on, nodes)))

    def pace(self, nodes: Sequence[Mapping[str, float]]) -> float:
        """Return the speed of all trials that fit at a time together, as a multiple of one trial's."""
        if not self.gpus:
            return self.slots(nodes)
        return max(1, sum(min(self._on(node), TURNS * node.get("GPU", 0)) for node in nodes))

    def _on(self, node: Mapping[str, float]) -> int:
        """Return how many trials fit on one node; one that needs a part of a GPU has it from a single GPU."""
        by_cpu, gpus = int(node.get("CPU", 0) / self.cpus + 1e-9), node.get("GPU", 0)
        if not self.gpus:
            return by_cpu
        by_gpu = int(gpus / self.gpus) if self.gpus >= 1 else int(gpus) * int(1 / self.gpus + 1e-9)
        return min(by_cpu, by_gpu)


def checked_share(
    cpus_per_trial: float | None, gpus_per_trial: float | str | None, resources: Mapping[str, float], where: str
) -> Share:
    """Return the resources of a trial, checked against those of a machine or cluster, which messages call ``where``.

    Without a request, and before ``auto`` is measured, it is one processor, and one GPU if there is any. ``BadInput``
    is raised if a request makes no sense, or there is no room for a single trial.
    """
    cpus = 1.0 if cpus_per_trial is None else cpus_per_trial
    some = float(resources.get("GPU", 0) > 0)
    gpus = some if gpus_per_trial is None or gpus_per_trial == AUTO else float(gpus_per_trial)
    if not LEAST <= cpus < float("inf"):
        raise BadInput(f"--cpus-per-trial must be finite and at least {LEAST:g}, got {cpus:g}")
    if gpus and not LEAST <= gpus < float("inf"):
        raise BadInput(f"--gpus-per-trial must be 0, or finite and at least {LEAST:g}, got {gpus:g}")
    if gpus > 1 and gpus != int(gpus):
        raise BadInput(f"--gpus-per-trial above 1 must be a whole number, got {gpus:g}")
    for option, want, unit in (("--cpus-per-trial", cpus, "CPU"), ("--gpus-per-trial", gpus, "GPU")):
        have = resources.get(unit, 0)
        if want > have:
            raise BadInput(f"{option} {want:g} is more than {where} has: give at most {have:g} ({unit}s)")
    return Share(cpus, gpus)


def this_machine() -> dict[str, float]:
    """Return the resources of this machine, under Ray's names."""
    import torch

    return {"CPU": cpu_count(), "GPU": torch.cuda.device_count()}


def cpu_count() -> int:
    """Return the number of processors that this process may use; a container may allow fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def require_address(address: str) -> None:
    """Raise ``BadInput`` unless ``address`` has one of the three forms."""
    host, _, port = address.rpartition(":")
    answers = port.isdecimal() and 0 < int(port) < 2**16
    if address not in ("local", "auto") and not (host and "/" not in host and answers):
        raise BadInput(f"--address must be local, auto or HOST:PORT, got {address!r}")


def wanted_share(options: Options) -> Share:
    """Return the resources of a trial that options ask for; ``BadInput`` for those that make no sense on any machine.

    Where they do not say, a GPU is assumed.
    """
    every = {"CPU": math.inf, "GPU": math.inf}
    return checked_share(options.cpus_per_trial, options.gpus_per_trial, every, "any machine")


def require_place(options: Options) -> None:
    """Raise ``BadInput`` if no trial can run with the options, as far as that is known without a cluster."""
    wished = options.cpus_per_trial is not None or options.gpus_per_trial is not None
    if options.address == "local" and wished:  # otherwise torch, which takes seconds to import, is not needed
        checked_share(options.cpus_per_trial, options.gpus_per_trial, this_machine(), "this machine")
