"""Calls a function once for each of many files, as tasks of a Ray cluster: one of this loop's own, or one that runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

FORMS = "none, local, auto or HOST:PORT"
ANSWER_SECONDS = 5.0
HEALTH_SECONDS = 20.0  # with the start of a process


class HasFile(Protocol):
    """What a task is given first; a dataclass, whose file is on this machine."""

    @property
    def file(self) -> Path:
        """Read here, and written again where the task runs."""


F = TypeVar("F", bound=HasFile)


def require_address(address: str) -> None:
    """Raise ``ValueError`` unless ``address`` has one of the forms, and a cluster answers there that lets us in."""
    host, _, port = address.rpartition(":")
    if address in ("none", "local"):
        return
    if address != "auto":
        if not (host and port.isdigit()):
            raise ValueError(f"--address must be {FORMS}, got {address!r}")
        try:
            socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise ValueError(f"no Ray cluster answers at --address {address!r} ({error})") from None
    # In a process of its own: where a token is missing Ray ends the process, and where it is wrong it asks for 20 s.
    knock = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    knock += [] if address == "auto" else ["--address", address]
    environment = {"RAY_AUTH_MODE": "token", **os.environ}
    try:
        subprocess.run(knock, env=environment, capture_output=True, timeout=HEALTH_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        if b"RAY_AUTH_TOKEN" in error.stderr:
            text = f"the Ray cluster at --address {address!r} lets nobody in without its token: set RAY_AUTH_TOKEN"
            raise ValueError(f"{text} as on its head") from None
        raise ValueError(f"no Ray cluster answers at --address {address!r}") from None
    except subprocess.TimeoutExpired:
        raise ValueError(f"no Ray cluster answers at --address {address!r} within {HEALTH_SECONDS:g} s") from None


def in_ray(
    waiting: Mapping[str, F], address: str, function: Callable[..., Any], *arguments: Any
) -> Iterator[tuple[str, Any]]:
    """Each key with ``function(value, *arguments)``, in the order in which the tasks end; one CPU a task, and a GPU.

    Args:
        waiting: by key, what the function is to be called with.
        address: ``local`` starts a cluster that ends with this loop; ``auto`` or ``HOST:PORT`` joins one.
        function: of a module of ``analysis`` or ``trainables``, which travel with it.
        arguments: the same for every call.

    Raises:
        ValueError: nobody answers at the address.
    """
    if not waiting:
        return
    # Read when ray is first imported: the studies' form of authentication, and listening on loopback alone.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if address == "local":
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    root = Path(__file__).resolve().parents[2]
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    options["runtime_env"] = {"py_modules": [str(root / name) for name in ("trainables", "analysis")]}
    if address == "local":
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        options |= {"num_cpus": cpus, "include_dashboard": False}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError) as error:
        raise ValueError(f"no Ray cluster at --address {address!r}: {str(error).splitlines()[0]}") from error
    try:
        resources = ray.cluster_resources()
        gpus = float(resources.get("GPU", 0) > 0)
        task = ray.remote(num_cpus=1, num_gpus=gpus)(call_with_file)
        most = 2 * max(1, int(resources.get("GPU" if gpus else "CPU", 1)))  # files that are on their way at a time
        left = list(waiting.items())
        running: dict[Any, str] = {}
        while left or running:
            while left and len(running) < most:
                key, value = left.pop(0)
                running[task.remote(function, value, value.file.read_bytes(), *arguments)] = key
            (done,), _ = ray.wait(list(running), num_returns=1)
            yield running.pop(done), ray.get(done)
    finally:
        ray.shutdown()


def _answer(task: Any) -> Any:
    """What a task returns; the exception of one that fails is raised as if it had been called here."""
    import ray

    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None


def call_with_file(function: Callable[..., Any], value: Any, content: bytes, *arguments: Any) -> Any:
    """The call itself, on a machine that may lack the value's file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / value.file.name
        file.write_bytes(content)
        return function(replace(value, file=file), *arguments)
