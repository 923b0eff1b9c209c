"""Connects to Ray: to a cluster of its own on this machine, or to one that already runs."""

import atexit
import contextlib
import importlib
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ray

from mixlab.cluster import head, ray_private
from mixlab.cluster.nodes import alive, call_on
from mixlab.cluster.resources import Share, cpu_count
from mixlab.errors import BadInput, HeadLost, first_line, root_cause
from mixlab.uris import existing_part


@contextlib.contextmanager
def connected(address: str, *travelling: object) -> Iterator[dict[str, float]]:
    """Connect to Ray inside the block, and yield the cluster's resources.

    Args:
        address: ``local`` starts a cluster that listens on loopback and ends with the block; ``auto``
            finds the one that runs on this machine; ``HOST:PORT`` is the head of any other.
        travelling: a trainable, or modules. Their top-level packages, or the files of modules outside any package, are
            copied to the workers together with mixlab, as they are now, whatever is edited inside the block.

    Raises:
        BadInput: nobody answers, this process is connected already, Ray was imported before mixlab, or a trainable
            holds what cannot be copied.
        HeadLost: Ray did not start on this machine; or the head has died, which is raised inside the block by anything
            that waits through ``head.while_there``.
    """
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "token" and not ray_private.has_tokens():
        raise BadInput("ray was imported before mixlab, which sets RAY_AUTH_MODE=token for it: import mixlab first")
    if ray.is_initialized():
        raise BadInput("this process is connected to Ray already: call ray.shutdown() first")
    try:
        ray.cloudpickle.dumps(travelling)
    except Exception as error:  # that of any object
        made = "make what cannot be copied, such as a lock or an open connection, in the call that trains"
        raise BadInput(f"the trainable cannot be copied to the trials ({first_line(error)}): {made}") from error
    _start(address, _sources(travelling))
    watched = head.Head(address)
    try:
        with head.watching(watched):
            yield ray.cluster_resources()
    finally:
        if watched.lost.is_set():
            atexit.register(_end_at_once)
        else:
            ray.shutdown()


def _start(address: str, sources: list[str]) -> None:
    """Connect this process to Ray, whose workers get the code of ``sources``; errors as for :func:`connected`."""
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    ray_private.keep_off_the_terminal()
    if address == "local":
        _keep_token()
        options |= {"num_cpus": cpu_count(), "include_dashboard": False, "_temp_dir": str(_own_folder() / "ray")}
    else:
        head.require_entrance(address)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="mixlab-") as empty,
            ray_private.bare_cluster() if address == "local" else contextlib.nullcontext(),
        ):
            ray.init(address=address, runtime_env=_environment(address, sources, empty), **options)
    except SystemExit:  # raised by Ray's own handler of SIGTERM while it starts
        raise KeyboardInterrupt from None
    except Exception as error:  # Ray raises a bare one if one of its processes ends during the start
        if address != "local":
            raise head.fault(address, error) from error
        logs = Path(options["_temp_dir"], "session_latest", "logs")
        raise HeadLost(
            f"Ray did not start on this machine ({root_cause(error)}): its logs are in {logs}; "
            "the same command tries again"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own handler would end the process at once


def _environment(address: str, sources: list[str], empty: str) -> dict[str, Any]:
    """Return the runtime environment of the workers: copies of the code, and where else they may import from.

    A worker imports from the copies first. If it did not work in the ``empty`` folder, Ray would put before them the
    folders of this script and of this process, where the code may have been edited since. If this process itself runs
    in a job of Ray, the folder and the variables of that job cannot be given again.
    """
    # On this machine a worker can import what the driver can, such as a file next to a notebook. Other machines may
    # have the folders of the script and of the process.
    folders = sys.path if address == "local" else [os.path.dirname(sys.argv[0]), os.getcwd()]
    variables = {
        "PYTHONPATH": os.pathsep.join(str(Path(folder).absolute()) for folder in folders),
        # A worker runs each trial in a new thread, and glibc keeps an arena of memory for each thread: with one arena
        # for all, a worker does not grow from trial to trial.
        "MALLOC_ARENA_MAX": "1",
        # Memory in pages of 2 MiB, where the system offers them: a step of ResNet-20 takes 4 % less time.
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
        "GOMP_SPINCOUNT": os.environ["GOMP_SPINCOUNT"],  # mixlab/__init__.py has set it
    }
    job = ray_private.environment_of_job()
    free = {name: value for name, value in variables.items() if name not in job.get("env_vars", {})}
    given = {"py_modules": sources, "env_vars": free}
    return given if "working_dir" in job else {**given, "working_dir": empty}


def _own_folder() -> Path:
    """Return a folder with a short path, which Ray's own will be in; ``BadInput`` if none can be written.

    Nobody else may enter it, because Ray lets everybody write in its own, from which workers import their code.
    """
    usual = ray_private.usual_folder()
    fits = len(usual) <= ray_private.SHORT and usual.isascii()
    if fits and not _writable(Path(usual)):
        raise BadInput(f"the folder {usual!r} for Ray's files cannot be written: set RAY_TMPDIR to one that can")
    if not fits and not os.access("/tmp", os.W_OK):
        raise BadInput(
            f"the folder {usual!r} for temporary files is too long, or has letters that are not ASCII, for the sockets "
            f"of Ray: set RAY_TMPDIR to one of at most {ray_private.SHORT} letters"
        )
    folder = Path(usual if fits else "/tmp", ray_private.OWN).absolute()
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700, parents=True)
    if folder.lstat().st_uid != os.geteuid() or not folder.is_dir():
        raise BadInput(f"{str(folder)!r} is to hold Ray's files, but is no folder of this user: set RAY_TMPDIR")
    folder.chmod(0o700)
    return folder


def _keep_token() -> None:
    """Give Ray a token in this process's environment if it cannot keep one in the home folder, as it usually does."""
    folder = Path(os.path.expanduser("~"), ".ray")  # relative for a user who has no home
    can_keep = folder.is_absolute() and (os.path.isfile(folder / "auth_token") or _writable(folder))
    if not can_keep and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _writable(folder: Path) -> bool:
    """Return whether a folder can be written, or made."""
    existing = existing_part(folder)
    return os.path.isdir(existing) and os.access(existing, os.W_OK)


def _end_at_once() -> None:
    """End the process at its exit, before Ray's handler, which runs after this one, waits minutes for a silent head."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _sources(travelling: Iterable[object]) -> list[str]:
    """Return the folders of mixlab and of the objects' top-level packages; for an object outside any package, its file.

    An object that a script or a notebook defines is pickled by value instead.
    """
    names = [one.__name__ if isinstance(one, ModuleType) else getattr(one, "__module__", None) for one in travelling]
    tops = {name.partition(".")[0] for name in names if name} - {"__main__", *sys.stdlib_module_names}
    modules = [sys.modules["mixlab"], *map(importlib.import_module, sorted(tops))]
    found = [next(iter(getattr(module, "__path__", ())), getattr(module, "__file__", None)) for module in modules]
    return [str(Path(source)) for source in found if source]


def map_on(function: Callable[[Any], Any], items: Iterable[Any], wanted: Share) -> list[Any]:
    """Apply ``function`` to each item on the connected cluster, each call with the resources of a trial."""
    remote = ray.remote(num_cpus=wanted.cpus, num_gpus=wanted.gpus)(lambda item: function(item))
    return _answers([remote.remote(item) for item in items])


def on_every_gpu_node(function: Callable[[Any], Any], item: Any, wanted: Share) -> list[Any]:
    """Apply ``function`` to ``item`` once on each node that has a GPU, with the resources of a trial.

    A node that is lost meanwhile has no answer.
    """
    nodes = [node for node, found in alive().items() if found["Resources"].get("GPU", 0) >= wanted.gpus]
    calls = {node: call_on(node, lambda: function(item), cpus=wanted.cpus, gpus=wanted.gpus) for node in nodes}
    found = []
    for node, call in calls.items():
        try:
            found += _answers([call])
        except ray.exceptions.RayError:
            if node in alive():
                raise
    return found


def _answers(tasks: list[ray.ObjectRef]) -> list[Any]:
    """Return the results of the tasks; the exception of a failed one is raised as if it had been called here."""
    try:
        return head.results(tasks)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
