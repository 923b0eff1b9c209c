"""The doctor on real nodes: all is well, then a node joins that has neither the shared disk nor the GPUs it claims."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ray_cluster
from tests.servers.program import run_alone

ROOT = Path(__file__).parents[3]

# This puts an empty disk over a folder, and runs the rest. It uses the system call: the command asks for root's number.
HIDE = """
import ctypes, os, sys
assert ctypes.CDLL(None).mount(b"none", sys.argv[1].encode(), b"tmpfs", 0, None) == 0
os.execvp(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.slow
def test_only_the_odd_node_is_named(tmp_path: Path) -> None:
    run_alone(__file__, tmp_path)


def examine_the_cluster(shared: Path) -> None:
    """Run in a network of its own, with root's rights over its mounts."""
    (shared / "data").symlink_to(ROOT / "data")
    with ray_cluster.running() as cluster:

        def doctor(**environment: str) -> subprocess.CompletedProcess[str]:
            where = ("--storage", str(shared / "results"), "--data-root", str(shared / "data"), "--dataset", "cifar10")
            command = [sys.executable, "-m", "mixlab.doctor", "--address", cluster.address, *where]
            environment = {**cluster.environment, **environment}
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)

        cluster.add_worker()
        cluster.wait_for(2)
        well = doctor()
        lines = well.stdout.splitlines()
        assert well.returncode == 0, well.stdout + well.stderr
        assert lines[0].startswith("ok      entry     the cluster asks for the token")
        assert any(line.startswith("ok      nodes     2 answer: ") for line in lines)
        assert lines[-1] == "Nothing is red."
        assert any(line.startswith("ok      storage") and "the driver and 2 nodes" in line for line in lines)

        stranger = doctor(RAY_AUTH_TOKEN="f" * 64)
        assert stranger.returncode == 1, stranger.stdout + stranger.stderr
        assert stranger.stdout.startswith("red     entry     the cluster refuses the driver's token")

        mounts = ("unshare", "--mount", sys.executable, "-c", HIDE, str(shared))
        cluster.add_worker("--num-gpus", "99", through=mounts)  # more than any machine has
        cluster.wait_for(3)
        ill = doctor()
        red = [line for line in ill.stdout.splitlines() if line.startswith("red")]
        assert ill.returncode == 1, ill.stdout + ill.stderr
        assert [line.split()[1] for line in red] == ["GPUs", "data", "storage"]
        assert all(line.count("(127.0.0.1, ") == 1 for line in red)
        assert len({line.partition("(127.0.0.1, ")[2][:8] for line in red}) == 1
        assert "GPUs, but Ray counts 99" in red[0]
        assert "of its own, not the driver's" in red[2]
        assert all("Fix: " in line for line in red)
    with ray_cluster.running(RAY_AUTH_MODE="disabled") as cluster:
        cluster.wait_for(1)
        cluster.environment["RAY_AUTH_MODE"] = "token"
        open_to_all = doctor()
        assert open_to_all.returncode == 1, open_to_all.stdout + open_to_all.stderr
        assert open_to_all.stdout.startswith("red     entry     the cluster lets anybody in")
    assert sorted(path.name for path in shared.iterdir()) == ["data", "program.txt"]  # nothing is left behind


if __name__ == "__main__":
    examine_the_cluster(Path(sys.argv[1]))
