"""A node of Ray with only the processes that trials need.

    python tests/servers/bare_node.py [--address HOST:PORT | --port PORT --temp-dir FOLDER] --node-ip-address HOST ...

The options mean what they mean to ``ray start --block``, which takes four seconds more of a processor for a head, and
two for any other node: it imports its command line, and starts a dashboard, agents and a server of remote clients.
"""

import argparse
import time

from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.services import canonicalize_bootstrap_address, resolve_ip_for_localhost

from mixlab.cluster.ray_private import bare_cluster


def main() -> None:
    """Start the node, and end once one of its processes has ended."""
    parser = argparse.ArgumentParser()
    for text in ("--address", "--temp-dir", "--node-ip-address"):
        parser.add_argument(text)
    for number in ("--port", "--num-cpus", "--num-gpus", "--object-store-memory"):
        parser.add_argument(number, type=int)
    asked = parser.parse_args()
    parameters = RayParams(
        gcs_address=asked.address and canonicalize_bootstrap_address(asked.address),
        gcs_server_port=asked.port,
        temp_dir=asked.temp_dir,
        node_ip_address=resolve_ip_for_localhost(asked.node_ip_address),
        num_cpus=asked.num_cpus,
        num_gpus=asked.num_gpus,
        object_store_memory=asked.object_store_memory,
        include_dashboard=False,
    )
    with bare_cluster():
        node = Node(parameters, head=asked.address is None, shutdown_at_exit=True)
    print("Ray runtime started.", flush=True)  # the words of `ray start`
    while not node.dead_processes():  # as `ray start --block` does
        time.sleep(0.5)


if __name__ == "__main__":
    main()
