"""A Ray cluster of plain processes, on loopback unless another host is given; each node is started as `ray start`
starts it on a machine of its own.
"""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.servers.folders import temporary
from tests.servers.postgresql import free_port
from tests.servers.program import Program
from tests.waiting import wait_for

RAY = (sys.executable, "-m", "ray.scripts.scripts")
UNUSED = ("--include-log-monitor", "false", "--no-monitor")  # Mixlab asks neither Ray's logs nor its autoscaler
# This ends once so many nodes are alive, and says each time how many there are. It does not join the cluster.
COUNT = """
import sys, time
from ray._raylet import GcsClient
from ray.core.generated.gcs_pb2 import GcsNodeInfo
alive = None
while alive != int(sys.argv[2]):
    time.sleep(0.1)
    try:
        nodes = GcsClient(address=sys.argv[1]).get_all_node_info(timeout=10).values()
    except Exception as error:
        print(error, flush=True)
        continue
    found = sum(node.state == GcsNodeInfo.GcsNodeState.ALIVE for node in nodes)
    if found != alive:
        print(found, "nodes", flush=True)
    alive = found
"""


class RayCluster:
    """Nodes that end with their block. A driver needs ``environment`` to be let in."""

    def __init__(
        self, stack: contextlib.ExitStack, environment: Mapping[str, str], host: str, head: Sequence[str]
    ) -> None:
        self._stack = stack
        self._host = host
        self.address = f"{host}:{free_port()}"
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_prestart_worker_first_driver": "0",  # they would lack a trial's environment, and are not used
            **environment,
        }
        # A socket's name has at most 107 letters, and Ray's sockets bear the folder's.
        self.folder = stack.enter_context(temporary("ray"))
        port = self.address.rpartition(":")[2]
        self.head = self.add(
            "--head", "--port", port, "--temp-dir", str(self.folder), "--include-dashboard", "false", *head
        )

    def add_worker(self, *options: str, cwd: Path | None = None, through: Sequence[str] = ()) -> Program:
        """Start one more node; ``through`` is put before the command."""
        return self.add("--address", self.address, *options, cwd=cwd, through=through)

    def add(self, *options: str, cwd: Path | None = None, through: Sequence[str] = ()) -> Program:
        """Start a node of one processor; options that are given win."""
        command = [*through, *RAY, "start", "--block", "--node-ip-address", self._host, "--num-cpus", "1"]
        command += ["--object-store-memory", str(100 * 2**20), *UNUSED]
        environment = dict(self.environment)
        if "--num-gpus" in options:
            environment.pop("CUDA_VISIBLE_DEVICES", None)  # Ray believes in no more GPUs than this names
        else:
            command += ["--num-gpus", "0"]
        log = f"{secrets.token_hex(4)}.log"
        node = Program([*command, *options], self.folder, log, environment, cwd=cwd)
        return self._stack.enter_context(node)

    def wait_for(self, nodes: int) -> None:
        """Return once this many nodes are there."""
        command = [sys.executable, "-c", COUNT, self.address, str(nodes)]
        with Program(command, self.folder, "count.log", self.environment) as count:
            logs = list(self.folder.glob("*.log"))
            wait_for(
                lambda: count.process.poll() is not None or self.head.process.poll() is not None,
                standing_still=lambda: [log.stat().st_size for log in logs],
                account=lambda: f"not {nodes} nodes\n" + "\n".join(log.read_text() for log in logs),
            )
            assert self.head.process.poll() is None, f"the head has ended: {self.head.said}"
            assert count.process.returncode == 0, count.said


@contextlib.contextmanager
def running(
    host: str = "127.0.0.1", head: Sequence[str] = ("--num-cpus", "0"), **environment: str
) -> Iterator[RayCluster]:
    """Yield a head, by default without processors, to which workers are added. The environment is that of all nodes."""
    with contextlib.ExitStack() as stack:
        yield RayCluster(stack, environment, host, head)
