"""The private parts of Ray that Mixlab depends on, in the version that ``constraints.txt`` pins.

Each has a test in ``tests/mixlab/cluster/test_ray_private.py`` that names that version when it fails.
"""

import contextlib
import json
import logging
import os
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray
from ray import cloudpickle, exceptions
from ray._private import services, state
from ray._private import worker as ray_worker
from ray._private.node import Node
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray._raylet import (  # type: ignore[attr-defined]
    DASHBOARD_AGENT_LISTEN_PORT_NAME,
    METRICS_AGENT_PORT_NAME,
    METRICS_EXPORT_PORT_NAME,
    AuthenticationMode,
    GcsClient,
    get_authentication_mode,
    persist_port,
)

from mixlab.errors import Crash

LOG = logging.getLogger("ray")

ENDED_BY_ITSELF = "Worker exit type: SYSTEM_ERROR"  # in Ray's account of a process that is gone
SILENT = (None, 1, 4, 14)  # codes of gRPC: unknown to Ray, cancelled, deadline exceeded, unavailable
PRESTART = "RAY_prestart_worker_first_driver"
AGENT_COMMAND = "--dashboard_agent_command="  # of the raylet
AGENT_PORTS = (METRICS_AGENT_PORT_NAME, METRICS_EXPORT_PORT_NAME, DASHBOARD_AGENT_LISTEN_PORT_NAME)
# Of a process; a RayActorError is another.
LOSSES = (exceptions.OutOfMemoryError, exceptions.WorkerCrashedError, exceptions.NodeDiedError)
SHORT_OF_MEMORY = "its machine ran short of memory, so that Ray ended its process"


def head_client() -> Any:
    """Return a client of the head of the connected cluster."""
    return GcsClient(address=ray.get_runtime_context().gcs_address)


def head_answers(client: Any, seconds: float) -> bool:
    """Return whether the head answers within ``seconds``; any other fault is raised."""
    try:
        client.internal_kv_exists(b"mixlab", timeout=seconds)
    except exceptions.RpcError as error:
        if error.rpc_code not in SILENT:
            raise
        return False
    except (TimeoutError, ConnectionError):
        return False
    return True


@dataclass(frozen=True)
class Failure:
    """The reason why a trial failed."""

    text: str  # a traceback, or Ray's account
    raised: bool  # whether the code raised it; otherwise the process or its machine was lost
    process: tuple[str, int] | None = None  # the node and number of one that ended by itself, or was killed there

    @property
    def explained(self) -> bool:
        """Return whether the last line of the account says in short what happened."""
        return self.raised or self.process is not None or self.text.endswith(SHORT_OF_MEMORY)


def failure_of(trial: Any) -> Failure:
    """Return why a trial of Ray Tune failed last.

    ``trial.get_error()`` would not do: it reads a copy in the storage, which Ray Tune may not have written yet.
    """
    if trial.pickled_error_file:
        with contextlib.suppress(EOFError, pickle.UnpicklingError):  # on a full disk it is cut off
            error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
            cause = getattr(error, "cause", None)
            text = str(cause) if isinstance(cause, Crash) else plain(str(error))  # without the lines of Ray's own code
            return Failure(text, isinstance(error, exceptions.RayTaskError), _process_of(error))
    text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace") if trial.error_file else ""
    return Failure(plain(text) or "unknown error", False)


def _process_of(error: Exception) -> tuple[str, int] | None:
    """Return the node and number of the process whose end is the error; None if its node is lost, or Ray ended it."""
    if not isinstance(error, exceptions.ActorDiedError) or ENDED_BY_ITSELF not in str(error):
        return None
    actor = state.actors(error.actor_id)
    return actor["Address"]["NodeID"], actor["Pid"]


def log_folder() -> Path:
    """Return the folder of this node in which Ray keeps a log of each of its processes."""
    return Path(ray_worker._global_node.get_logs_dir_path())


def has_tokens() -> bool:
    """Return whether Ray read ``RAY_AUTH_MODE=token`` when it was imported."""
    return bool(get_authentication_mode() == AuthenticationMode.TOKEN)


def environment_of_job() -> dict[str, Any]:
    """Return the environment that the job of Ray in which this process runs gives its workers; empty in no job."""
    found: dict[str, Any] = json.loads(os.environ.get(RAY_JOB_CONFIG_JSON_ENV_VAR, "{}")).get("runtime_env") or {}
    return found


def keep_off_the_terminal() -> None:
    """Send to the log what Ray prints by itself, such as a traceback for each process that ends."""
    logger = logging.getLogger("ray")  # a handler of its own, for the terminal, is there since Ray was imported
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.ERROR)
    ray_worker.print_to_stdstream = lambda data, ignore_prefix: LOG.warning("%s", "\n".join(data["lines"]))


@contextlib.contextmanager
def bare_cluster() -> Iterator[None]:
    """Let a cluster that starts inside the block have only the processes that trials need.

    Its dashboard, autoscaler and log monitor serve nobody on one machine, nor does the dashboard's agent, for which the
    raylet would wait a second or two. Workers that start before they are asked for lack the environment of a trial, and
    are not used.
    """

    def nothing(node: Node, **options: Any) -> None:
        """Start none of them."""

    start_process = services.start_ray_process

    def start_without_agent(command: list[str], *args: Any, **options: Any) -> Any:
        return start_process(without_agent(command), *args, **options)

    set_before = os.environ.get(PRESTART)
    os.environ[PRESTART] = "0"
    try:
        with (
            patch.multiple(Node, start_api_server=nothing, start_monitor=nothing, start_log_monitor=nothing),
            patch.object(services, "start_ray_process", start_without_agent),
        ):
            yield
    finally:
        del os.environ[PRESTART]
        if set_before is not None:
            os.environ[PRESTART] = set_before


def without_agent(command: list[str]) -> list[str]:
    """Return the command that starts a process of Ray; if it is the raylet, without the dashboard's agent.

    The raylet demands an agent, and ends with it. ``cat`` takes its place: it ends when the raylet, which holds its
    input, is gone. The raylet also waits until the agent has written its ports, so they are written here: -1, which is
    what an agent writes that serves nothing.
    """
    if not any(part.startswith(AGENT_COMMAND) for part in command):
        return command
    options = dict(part.removeprefix("--").split("=", 1) for part in command if part.startswith("--") and "=" in part)
    for port in AGENT_PORTS:
        persist_port(options["session_dir"], options["node_id"], port, -1)
    return [f"{AGENT_COMMAND}cat" if part.startswith(AGENT_COMMAND) else part for part in command]


def ask_before_retry(trial: Any, wanted: Callable[[Any], bool]) -> None:
    """Let ``wanted`` decide, besides the number of failures, whether Ray Tune tries a failed trial again."""
    usual = trial.should_recover
    trial.should_recover = lambda: usual() and wanted(trial)


def forgive_failures(trial: Any) -> None:
    """Count a trial's failures from 0 again."""
    trial.run_metadata.num_failures = 0


@contextlib.contextmanager
def forgetting() -> Iterator[None]:
    """Let Ray Tune forget, inside the block, every trial that is over, and write its state at the end alone.

    It would write down all trials whenever one has a checkpoint, so that each would cost more than the one before; only
    ``Tuner.restore`` reads that, which is not used.
    """
    from ray.tune.execution.tune_controller import TuneController

    write = TuneController.checkpoint

    def forget(controller: Any, force: bool = False, wait: bool = False) -> None:
        """Ray Tune calls this after every event; it waits for the state at the end, which it reads again."""
        for over in (controller._stopped_trials, controller._failed_trials):
            for trial in over:
                controller._trials.remove(trial)
            over.clear()
        controller._trials_to_cache.clear()
        controller._checkpoint_manager._trial_num_checkpoints_since_last_sync.clear()
        if force:
            write(controller, force, wait)

    with patch.object(TuneController, "checkpoint", forget):
        yield


@contextlib.contextmanager
def surviving_losses() -> Iterator[None]:
    """Let Ray Tune take, inside the block, the loss of a process for a failure of its trial alone.

    It knows only one of Ray's errors that say so, and ends all trials by the others. If a process is lost before the
    next trial has begun on it, Ray Tune would count that twice, the second time for good, and never start the trial
    again, which it believes to be under way.
    """
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.tune.execution.tune_controller import TuneController

    task_failed, trial_failed = RayActorManager._actor_task_failed, TuneController._trial_task_failure
    last: Exception | None = None

    def failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, LOSSES):
            reason = [SHORT_OF_MEMORY] if isinstance(exception, exceptions.OutOfMemoryError) else []
            exception = exceptions.RayActorError(error_msg="\n".join([str(exception).strip(), *reason]))
        task_failed(manager, tracked_actor_task, exception)

    def failed_once(controller: Any, trial: Any, exception: Exception) -> None:
        nonlocal last
        if exception is not last:
            last = exception
            controller._resetting_trials.discard(trial)
            trial_failed(controller, trial, exception)

    with (
        patch.object(RayActorManager, "_actor_task_failed", failed),
        patch.object(TuneController, "_trial_task_failure", failed_once),
    ):
        yield


def plain(text: str) -> str:
    """Return a traceback without the colours that Ray gives it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
