"""A Ray cluster of plain processes, on loopback where nothing else is said, each node started as `ray start` starts it
on a machine of its own.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from tests.servers.postgresql import free_port

RAY = (sys.executable, "-m", "ray.scripts.scripts")
# The nodes that are alive, counted without joining the cluster.
COUNT = """
import sys
from ray._raylet import GcsClient
from ray.core.generated.gcs_pb2 import GcsNodeInfo
nodes = GcsClient(address=sys.argv[1]).get_all_node_info(timeout=10).values()
print(sum(node.state == GcsNodeInfo.GcsNodeState.ALIVE for node in nodes))
"""
START_SECONDS = 90
STOP_SECONDS = 30


class RayCluster:
    """Nodes that end with their block. ``environment`` is what a driver needs to be let in."""

    def __init__(self, stack: contextlib.ExitStack, environment: Mapping[str, str], host: str) -> None:
        self._stack = stack
        self._host = host
        self.address = f"{host}:{free_port()}"
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            **environment,
        }
        # Ray's sockets bear the folder's name, and a socket's name has at most 107 letters.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        port = self.address.rpartition(":")[2]
        self.head = self.add(
            "--head", "--port", port, "--temp-dir", str(self.folder), "--include-dashboard", "false", "--num-cpus", "0"
        )

    def add_worker(
        self, *options: str, cwd: Path | None = None, through: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """Start one more node; it ends with SIGTERM to the process. ``through`` is put before the command."""
        return self.add("--address", self.address, *options, cwd=cwd, through=through)

    def add(self, *options: str, cwd: Path | None = None, through: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a node of one processor; options that are given win."""
        command = [*through, *RAY, "start", "--block", "--node-ip-address", self._host, "--num-cpus", "1"]
        command += ["--object-store-memory", str(100 * 2**20)]
        if "--num-gpus" not in options:
            command += ["--num-gpus", "0"]
        log = self._stack.enter_context((self.folder / f"{secrets.token_hex(4)}.log").open("wb"))
        process = subprocess.Popen([*command, *options], env=self.environment, stdout=log, stderr=log, cwd=cwd)
        self._stack.callback(end, process)
        return process

    def wait_for(self, nodes: int) -> None:
        """Return when so many nodes are there; ``RuntimeError`` where they do not come."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            command = [sys.executable, "-c", COUNT, self.address]
            done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=START_SECONDS)
            if done.stdout.strip() == str(nodes):
                return
            time.sleep(0.5)
        logs = "\n\n".join(log.read_text()[-1000:] for log in self.folder.glob("*.log"))
        count = done.stdout.strip() or done.stderr[-1000:]
        raise RuntimeError(f"not {nodes} nodes after {START_SECONDS} s, but {count}\n{logs}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a node and what it started."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a node with all that runs on it at one blow, as when its machine loses power."""
    node = psutil.Process(process.pid)
    for each in [node, *node.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


@contextlib.contextmanager
def running(host: str = "127.0.0.1", **environment: str) -> Iterator[RayCluster]:
    """A head without processors; workers are added to it. The environment is that of all nodes."""
    with contextlib.ExitStack() as stack:
        yield RayCluster(stack, environment, host)
