"""Connects to Ray: to a cluster of its own on this machine, or to one that already runs."""

import atexit
import contextlib
import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import ray

from mixlab.cluster import head, ray_private
from mixlab.cluster.nodes import alive, call_on
from mixlab.errors import BadInput, HeadLost, first_line

ANSWER_SECONDS = 15
SHORT = 40  # the most letters of a folder in which Ray's sockets have room


@dataclass(frozen=True)
class Share:
    """The resources of one trial."""

    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """Return the torch threads of a trial: its whole processors, at least one."""
        return max(1, int(self.cpus))

    def slots(self, resources: Mapping[str, float]) -> int:
        """Return how many trials fit at a time, at least one."""
        by_cpu = int(resources.get("CPU", 0) / self.cpus + 1e-9)
        by_gpu = int(resources.get("GPU", 0) / self.gpus + 1e-9) if self.gpus else sys.maxsize
        return max(1, min(by_cpu, by_gpu))


def share(
    cpus_per_trial: float | None, gpus_per_trial: float | str | None, resources: Mapping[str, float], where: str
) -> Share:
    """Return the resources of a trial, checked against what there is.

    Args:
        cpus_per_trial: the requested processors; one without a request.
        gpus_per_trial: the requested GPUs; without a request, and before ``auto`` is measured, one GPU if there is any.
        resources: ``CPU`` and ``GPU`` of the machine or cluster.
        where: the name of that machine or cluster in messages.

    Raises:
        BadInput: a request makes no sense, or there is no room for a single trial.
    """
    cpus = 1.0 if cpus_per_trial is None else cpus_per_trial
    some = float(resources.get("GPU", 0) > 0)
    gpus = gpus_per_trial if isinstance(gpus_per_trial, float) else some
    if not 0 < cpus < float("inf"):
        raise BadInput(f"--cpus-per-trial must be above 0, got {cpus:g}")
    if not 0 <= gpus < float("inf"):
        raise BadInput(f"--gpus-per-trial must be at least 0, got {gpus:g}")
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


@contextlib.contextmanager
def connected(address: str, *travelling: object) -> Iterator[dict[str, float]]:
    """Connect to Ray inside the block, and yield the cluster's resources.

    Args:
        address: ``local`` starts a cluster that listens on loopback and ends with the block; ``auto``
            finds the one that runs on this machine; ``HOST:PORT`` is the head of any other.
        travelling: a trainable, or modules; their top packages travel to the workers together with mixlab.

    Raises:
        BadInput: nobody answers.
        HeadLost: Ray did not start on this machine; or, raised inside the block by anything that waits through
            ``head.while_there``, the head has died.
    """
    options: dict[str, Any] = {
        "runtime_env": {
            "py_modules": [str(Path(module.__path__[0])) for module in _modules(travelling)],
            # A worker runs each trial in a thread of its own, and glibc keeps an arena for each thread: with one arena
            # for all, a worker that is used again does not grow.
            "env_vars": {"MALLOC_ARENA_MAX": "1"},
        },
        "log_to_driver": False,
        "logging_level": "error",
    }
    if address == "local":
        _keep_sockets_short()
        options |= {"num_cpus": cpu_count(), "include_dashboard": False}
    else:
        _require_answer(address)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    ray_private.keep_off_the_terminal()
    try:
        ray.init(address=address, **options)
    except SystemExit:  # from the handler of SIGTERM that Ray puts there while it starts
        raise KeyboardInterrupt from None
    except Exception as error:  # Ray raises even this one if a process of its own ends while it starts
        if address != "local":
            raise BadInput(f"no Ray cluster at --address {address!r}: {first_line(error)}") from error
        logs = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "session_latest", "logs")
        raise HeadLost(
            f"Ray did not start on this machine ({first_line(error)}): its logs are in {logs}; "
            "the same command tries again"
        ) from error
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray has put its own there, which ends the process at once
    with head.watched(address) as watched:
        try:
            yield ray.cluster_resources()
        finally:
            if watched.lost.is_set():
                atexit.register(_end_at_once)
            else:
                ray.shutdown()


def _keep_sockets_short() -> None:
    """Give Ray a short folder for its sockets, because the system limits their paths to 107 bytes.

    Raises:
        BadInput: there is none that can be written.
    """
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(usual) <= SHORT and usual.isascii():
        return
    if not os.access("/tmp", os.W_OK):
        raise BadInput(
            f"the folder {usual!r} for temporary files is too long, or has letters that are not ASCII, for the sockets "
            f"of Ray: set RAY_TMPDIR to one of at most {SHORT} letters"
        )
    os.environ["RAY_TMPDIR"] = "/tmp"


def _end_at_once() -> None:
    """End the process before Ray, which registered earlier and so runs later, waits minutes for a silent head."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _modules(travelling: Iterable[object]) -> list[ModuleType]:
    """Return mixlab and the top-level packages of some objects; an object of a script travels by value instead."""
    names = [thing.__name__ if isinstance(thing, ModuleType) else type(thing).__module__ for thing in travelling]
    tops = [importlib.import_module(name.split(".")[0]) for name in names]
    return [module for module in (sys.modules["mixlab"], *tops) if hasattr(module, "__path__")]


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
    except subprocess.CalledProcessError as error:
        if asks_for_token(error.stderr.decode(errors="replace")):
            raise BadInput(
                f"the Ray cluster at --address {address!r} lets nobody in without its token: set RAY_AUTH_TOKEN as on "
                "its head, or copy the head's ~/.ray/auth_token to this machine"
            ) from None
        raise BadInput(f"no Ray cluster answers at --address {address!r}; {hint}") from None


def asks_for_token(error: str) -> bool:
    """Return whether ``error`` is Ray's message for a wrong or missing token."""
    return "RAY_AUTH_TOKEN" in error


def map_on(function: Callable[[Any], Any], items: Iterable[Any], wanted: Share) -> list[Any]:
    """Apply ``function`` to each item on the connected cluster, each call with the resources of a trial."""
    remote = ray.remote(num_cpus=wanted.cpus, num_gpus=wanted.gpus)(lambda item: function(item))
    return _answers([remote.remote(item) for item in items])


def on_every_gpu_node(function: Callable[[Any], Any], item: Any, wanted: Share) -> list[Any]:
    """Apply ``function`` to ``item`` once on each node that has a GPU, with the resources of a trial."""
    nodes = [node for node, found in alive().items() if found["Resources"].get("GPU", 0) >= wanted.gpus]
    return _answers([call_on(node, lambda: function(item), cpus=wanted.cpus, gpus=wanted.gpus) for node in nodes])


def _answers(tasks: list[ray.ObjectRef]) -> list[Any]:
    """Return the results of the tasks; the exception of a failed one is raised as if it had been called here."""
    try:
        return head.while_there(lambda: ray.get(tasks))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
