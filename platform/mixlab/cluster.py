"""Connects to Ray: a cluster of its own on this machine, or one that runs already."""

import contextlib
import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import ray

import mixlab
from mixlab.errors import BadInput

ANSWER_SECONDS = 15


@dataclass(frozen=True)
class Share:
    """What one trial is given."""

    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """Torch threads of a trial: its whole processors, at least one."""
        return max(1, int(self.cpus))

    def slots(self, cpus: float, gpus: float) -> int:
        """How many trials fit at a time."""
        by_cpu = int(cpus / self.cpus + 1e-9) if self.cpus else sys.maxsize
        by_gpu = int(gpus / self.gpus + 1e-9) if self.gpus else sys.maxsize
        return min(by_cpu, by_gpu)


def share(cpus_per_trial: float | None, gpus_per_trial: float | None, address: str) -> Share:
    """The resources of a trial, checked against this machine where that is where it will run.

    Without a wish a trial gets one processor, and one GPU if this machine has any.
    """
    import torch

    require_address(address)
    cpus = 1.0 if cpus_per_trial is None else cpus_per_trial
    gpus = float(torch.cuda.is_available()) if gpus_per_trial is None else gpus_per_trial
    if not 0 < cpus < float("inf"):
        raise BadInput(f"--cpus-per-trial must be above 0, got {cpus:g}")
    if not 0 <= gpus < float("inf"):
        raise BadInput(f"--gpus-per-trial must be at least 0, got {gpus:g}")
    if gpus > 1 and gpus != int(gpus):
        raise BadInput(f"--gpus-per-trial above 1 must be a whole number, got {gpus:g}")
    wanted = Share(cpus, gpus)
    if address == "local":
        require_room(wanted, cpu_count(), torch.cuda.device_count(), "this machine")
    return wanted


def require_room(wanted: Share, cpus: float, gpus: float, where: str) -> None:
    """Raise ``BadInput`` unless at least one trial fits."""
    for option, want, have, unit in (
        ("--cpus-per-trial", wanted.cpus, cpus, "CPUs"),
        ("--gpus-per-trial", wanted.gpus, gpus, "GPUs"),
    ):
        if want > have:
            raise BadInput(f"{option} {want:g} is more than {where} has: give at most {have:g} ({unit})")


def cpu_count() -> int:
    """Processors that this process may use, which in a container is fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def connected(address: str, trainable: object) -> Iterator[dict[str, float]]:
    """Connect to Ray for the length of the block; gives the cluster's resources.

    Args:
        address: ``local`` starts a cluster that listens on loopback and ends with the block; ``auto``
            finds the one that runs on this machine; ``HOST:PORT`` is the head of any other.
        trainable: its top package travels to the workers, beside mixlab.

    Raises:
        BadInput: nobody answers.
    """
    options: dict[str, Any] = {
        "runtime_env": {"py_modules": [str(Path(module.__path__[0])) for module in _modules(trainable)]},
        "log_to_driver": False,
        "logging_level": "error",
    }
    if address == "local":
        options |= {"num_cpus": cpu_count(), "include_dashboard": False}
    else:
        _require_answer(address)
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError) as error:
        raise BadInput(f"no Ray cluster at --address {address!r}: {str(error).splitlines()[0]}") from error
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


def _modules(trainable: object) -> list[ModuleType]:
    """mixlab and the package of the trainable; one that is defined in a script travels by value instead."""
    top = importlib.import_module(type(trainable).__module__.split(".")[0])
    return [module for module in (mixlab, top) if hasattr(module, "__path__")]


def require_address(address: str) -> None:
    """Raise ``BadInput`` unless ``address`` has one of the three forms."""
    host, _, port = address.rpartition(":")
    if address not in ("local", "auto") and not (host and port.isdigit()):
        raise BadInput(f"--address must be local, auto or HOST:PORT, got {address!r}")


def _require_answer(address: str) -> None:
    """Ask the head for its health first: ``ray.init`` hangs for minutes on a dead one."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    hint = "start one with `ray start --head`, or leave --address out to use this machine alone"
    if address != "auto":
        command += ["--address", address]
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            raise BadInput(f"no Ray cluster answers at --address {address!r} ({error}); {hint}") from None
    try:
        subprocess.run(command, capture_output=True, timeout=ANSWER_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        raise BadInput(f"no Ray cluster answers at --address {address!r} within {ANSWER_SECONDS} s; {hint}") from None
    except subprocess.CalledProcessError:
        raise BadInput(f"no Ray cluster answers at --address {address!r}; {hint}") from None


def map_on(function: Callable[[Any], Any], items: Iterable[Any], wanted: Share) -> list[Any]:
    """Apply ``function`` to each item on the connected cluster, each call with the resources of a trial."""
    remote = ray.remote(num_cpus=wanted.cpus, num_gpus=wanted.gpus)(lambda item: function(item))
    return ray.get([remote.remote(item) for item in items])
