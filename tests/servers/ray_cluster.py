"""A Ray cluster of plain processes, on loopback unless another host is given."""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.servers.folders import temporary
from tests.servers.postgresql import free_port
from tests.servers.program import Program

BARE = (sys.executable, "-P", str(Path(__file__).with_name("bare_node.py")))
RAY_START = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--include-log-monitor", "false")
STARTED = "Ray runtime started."  # either command prints it once the head knows the node


class RayCluster:
    """Nodes that end with their block. A driver needs ``environment`` to be let in."""

    def __init__(
        self, stack: contextlib.ExitStack, environment: Mapping[str, str], host: str, head: Sequence[str]
    ) -> None:
        self._stack = stack
        self._nodes: list[Program] = []
        self._host = host
        self.address = f"{host}:{free_port()}"
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_prestart_worker_first_driver": "0",  # they would lack a trial's environment, and are not used
            **environment,
        }
        # A socket's name has at most 107 letters, and Ray's sockets bear the folder's.
        self.folder = stack.enter_context(temporary("ray"))
        port = self.address.rpartition(":")[2]
        self.head = self._add(BARE, "--port", port, "--temp-dir", str(self.folder), *head)

    def add_worker(
        self, *options: str, cwd: Path | None = None, through: Sequence[str] = (), start: Sequence[str] = BARE
    ) -> Program:
        """Start one more node, by ``BARE`` or by ``RAY_START``, as a user does; ``through`` is put before that."""
        return self._add([*through, *start], "--address", self.address, *options, cwd=cwd)

    def _add(self, start: Sequence[str], *options: str, cwd: Path | None = None) -> Program:
        """Start a node of one processor; options that are given win."""
        command = [*start, "--node-ip-address", self._host, "--num-cpus", "1"]
        command += ["--object-store-memory", str(100 * 2**20)]
        environment = dict(self.environment)
        if "--num-gpus" in options:
            environment.pop("CUDA_VISIBLE_DEVICES", None)  # Ray believes in no more GPUs than this names
        else:
            command += ["--num-gpus", "0"]
        log = f"{secrets.token_hex(4)}.log"
        node = self._stack.enter_context(Program([*command, *options], self.folder, log, environment, cwd=cwd))
        self._nodes.append(node)
        return node

    def wait(self) -> None:
        """Return once all nodes are there."""
        for node in self._nodes:
            node.until_said(STARTED)


@contextlib.contextmanager
def running(
    host: str = "127.0.0.1", head: Sequence[str] = ("--num-cpus", "0"), **environment: str
) -> Iterator[RayCluster]:
    """Yield a head, by default without processors, to which workers are added. The environment is that of all nodes."""
    with contextlib.ExitStack() as stack:
        yield RayCluster(stack, environment, host, head)
