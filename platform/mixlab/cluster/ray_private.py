"""The private parts of Ray that Mixlab depends on, in the version that ``constraints.txt`` pins.

Each has a test in ``tests/mixlab/cluster/test_ray_private.py`` that names that version when it fails.
"""

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import ray
from ray import exceptions
from ray._private import ray_constants, services, state
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

from mixlab.processes import name_of

LOG = logging.getLogger("ray")

ENDED_BY_ITSELF = "Worker exit type: SYSTEM_ERROR"  # in Ray's account of a process that is gone
OWN = f"mixlab-{os.geteuid()}"  # the folder of this user's clusters
# The most letters of a folder in which there is room for Ray's sockets, whose paths have at most 107 bytes.
SHORT = 107 - len(f"/{OWN}/ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store")
SILENT = (None, 1, 4, 14)  # codes of gRPC: unknown to Ray, cancelled, deadline exceeded, unavailable
# The environment of a cluster of this machine alone: its processes take the loopback interface for all that there is.
ALONE = {ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0", "RAY_prestart_worker_first_driver": "0"}
AGENT_COMMAND = "--dashboard_agent_command="  # an argument of the raylet
SETUP_WORKER = str(Path(__file__).with_name("setup_worker.py"))
AGENT_PORTS = (METRICS_AGENT_PORT_NAME, METRICS_EXPORT_PORT_NAME, DASHBOARD_AGENT_LISTEN_PORT_NAME)
# What ``ray health-check`` does, in a third of its time.
ENTER = """
import sys
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._raylet import GcsClient
GcsClient(address=canonicalize_bootstrap_address_or_die(sys.argv[1]))
"""


def refusal(address: str, seconds: float, **environment: str) -> str:
    """Return what Ray says to a driver that the head at ``address`` does not let in; empty if it lets it in.

    Another process asks, because Ray ends one without a token, and waits long for a dead head. It gets this one's
    environment with the variables given here, and at most so many ``seconds``.

    Raises:
        TimeoutError: there is no answer.
    """
    command = [sys.executable, "-c", ENTER, address]
    try:
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"whatever listens there gave no answer within {seconds:g} s") from None
    return (done.stderr or "refused") if done.returncode else ""


def place_of(address: str) -> tuple[str, int]:
    """Return the host and port that Ray asks for: instead of a loopback host, this machine's address on the network.

    Raises:
        ConnectionError: ``auto`` finds none.
        ValueError: that is no address.
    """
    host, port = services.parse_address(services.canonicalize_bootstrap_address_or_die(address))
    return host, int(port)


def is_node() -> bool:
    """Return whether this machine is a node of any cluster."""
    return bool(services.find_node_ids())


def lacks_node(refusal: Exception) -> bool:
    """Return whether Ray refuses a driver because its machine is not a node of the cluster."""
    return "No node info found" in str(refusal.__cause__)


def versions_of(refusal: Exception) -> list[str]:
    """Return the versions of Ray and Python of a cluster and of this process, if Ray refuses that they differ."""
    return [version for pair in re.findall(r"Ray: (\S+)\s+Python: (\S+)", str(refusal)) for version in pair]


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


def raylet() -> str:
    """Return the name of this node's raylet, for ``runs_here``; empty if it cannot be seen."""
    socket = ray_worker._global_node.raylet_socket_name
    for each in psutil.process_iter(["name", "cmdline"]):
        if each.info["name"] == "raylet" and any(socket in word for word in each.info["cmdline"] or ()):
            return f"#{name_of(each.pid)}"
    return ""


def process_of(error: Exception) -> tuple[str, int] | None:
    """Return the node and number of the process whose end caused an error; None if its node is lost or Ray ended it."""
    if not isinstance(error, exceptions.ActorDiedError) or ENDED_BY_ITSELF not in str(error):
        return None
    actor = state.actors(error.actor_id)
    return actor["Address"]["NodeID"], actor["Pid"]


def usual_folder() -> str:
    """Return the folder below which Ray keeps its files of a node that starts here, unless another is asked for."""
    return os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()


def folder() -> Path:
    """Return where Ray keeps the files of this node, or would keep them if this process is on none."""
    node = ray_worker._global_node
    return Path(node.get_session_dir_path()) if node else Path(usual_folder())


def log_folder() -> Path:
    """Return the folder of this node in which Ray keeps a log of each of its processes."""
    return Path(ray_worker._global_node.get_logs_dir_path())


def has_tokens() -> bool:
    """Return whether Ray read ``RAY_AUTH_MODE=token`` when it was imported."""
    return bool(get_authentication_mode() == AuthenticationMode.TOKEN)


def environment_of_job() -> dict[str, Any]:
    """Return the environment of workers that Ray has for the job in which this process runs; empty outside a job."""
    found: dict[str, Any] = json.loads(os.environ.get(RAY_JOB_CONFIG_JSON_ENV_VAR, "{}")).get("runtime_env") or {}
    return found


def keep_off_the_terminal() -> None:
    """Send to the log what Ray prints by itself, such as a traceback for each process that ends."""
    LOG.handlers.clear()  # Ray's import has added a handler for the terminal
    LOG.propagate = True
    LOG.setLevel(logging.ERROR)
    ray_worker.print_to_stdstream = lambda data, ignore_prefix: LOG.warning("%s", "\n".join(data["lines"]))


@contextlib.contextmanager
def bare_cluster() -> Iterator[None]:
    """Start a cluster inside the block with only the processes that trials need, which listen on loopback alone.

    Dashboard, autoscaler and log monitor serve nobody on one machine, nor does the dashboard's agent, for which the
    raylet would wait a second or two. Workers that start before they are asked for lack the environment of a trial, and
    are not used; ``setup_worker`` gives it to the others. The processes get process groups of their own: a signal to
    this process's group, as ``timeout`` and a shell send it, would end them before this process had recorded how its
    runs ended. They end with it all the same.
    """

    def nothing(node: Node, **options: Any) -> None:
        """Start none of them."""

    start_process = services.start_ray_process

    def start_without_agent(command: list[str], *args: Any, **options: Any) -> Any:
        return start_process(without_agent(command), *args, **options)

    set_before = {name: os.environ.get(name) for name in ALONE}
    os.environ.update(ALONE)
    try:
        with (
            patch.object(ray_constants, "ENABLE_RAY_CLUSTER", False),  # read from there when ray was imported
            patch.object(ray_constants, "SETUP_WORKER_FILENAME", SETUP_WORKER),  # within a folder of Ray's
            patch.multiple(Node, start_api_server=nothing, start_monitor=nothing, start_log_monitor=nothing),
            patch.object(services, "start_ray_process", start_without_agent),
            patch.object(services, "ConsolePopen", partial(services.ConsolePopen, process_group=0)),
        ):
            yield
    finally:
        for name, value in set_before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


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
