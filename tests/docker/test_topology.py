"""The compose file's topology as plain processes: PostgreSQL, MLflow, a head, two workers; a study through it, and the
doctor on it: all is well, then a node joins that has neither the shared disk nor the GPUs that it claims.
"""

import contextlib
import io
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mixlab.cluster import head
from mixlab.doctor import __main__ as doctor
from mixlab.doctor.checks import RED
from mixlab.doctor.driver import check_store
from mixlab.errors import BadInput
from tests.servers import mlflow_server, postgresql, ray_cluster
from tests.servers.isolation import ROOT
from tests.servers.program import run_alone
from tests.study_folder import toy_folder
from tests.toy import begun, hold, release
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

# This puts an empty disk over a folder, and runs the rest. It uses the system call: the command asks for root's number.
HIDE = """
import ctypes, os, sys
assert ctypes.CDLL(None).mount(b"none", sys.argv[1].encode(), b"tmpfs", 0, None) == 0
os.execvp(sys.argv[2], sys.argv[2:])
"""


def test_a_study_runs_through_all_of_it_and_the_doctor_names_only_the_odd_node(tmp_path):
    run_alone(run_on_the_topology, tmp_path)


def run_on_the_topology(folder: Path) -> None:
    """Run everything in a network of its own, with root's rights over its mounts."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgresql.running()).create_database()
        cluster = stack.enter_context(ray_cluster.running())
        uri = stack.enter_context(mlflow_server.running(database, folder, cluster.environment)).uri
        for number in (1, 2):  # one after another: they look for free ports
            (folder / f"worker{number}").mkdir()
            cluster.add_worker(cwd=folder / f"worker{number}")
            cluster.wait()
        run_a_study(folder, uri, cluster)

        shared = folder / "shared"
        shared.mkdir()
        (shared / "data").symlink_to(ROOT / "data")
        where = ("--storage", str(shared / "results"), "--data-root", str(shared / "data"), "--dataset", "cifar10")
        examine = examination(*where, "--tracking-uri", uri)
        well = examine(cluster, 0)
        assert well[0].startswith("ok      entry     the cluster asks for the token")
        assert any(line.startswith("ok      nodes     3 answer: ") for line in well)
        assert any(line.startswith("ok      storage") and "the driver and 3 nodes" in line for line in well)
        assert f"ok      store     {uri} answers" in well
        assert well[-1] == "Nothing is red."
        refused = check_store(uri.replace("127.0.0.1", "localhost"))  # a name that the server does not allow
        assert (refused.level, refused.fix) == (
            RED,
            f"start the server with --allowed-hosts localhost{uri[uri.rindex(':') :]}",
        )

        require_the_token(folder, cluster)
        stranger = examine(cluster, 1, RAY_AUTH_TOKEN="f" * 64)
        assert stranger[0].startswith("red     entry     the cluster refuses the driver's token")

        mounts = ("unshare", "--mount", sys.executable, "-c", HIDE, str(shared))
        cluster.add_worker("--num-gpus", "99", through=mounts)  # more than any machine has
        cluster.wait()
        red = [line for line in examine(cluster, 1) if line.startswith("red")]
        assert [line.split()[1] for line in red] == ["GPUs", "data", "storage"]
        assert all(line.count("(127.0.0.1, ") == 1 for line in red)
        assert len({line.partition("(127.0.0.1, ")[2][:8] for line in red}) == 1
        assert "GPUs, but Ray counts 99" in red[0]
        assert "of its own, not the driver's" in red[2]
        assert all("Fix: " in line for line in red)
    with ray_cluster.running(RAY_AUTH_MODE="disabled") as cluster:
        cluster.wait()
        open_to_all = examine(cluster, 1, RAY_AUTH_MODE="token")
        assert open_to_all[0].startswith("red     entry     the cluster lets anybody in")
    assert [path.name for path in shared.iterdir()] == ["data"]  # nothing is left behind


def release_two(folder: Path) -> None:
    """Let the trials go on once two of them wait."""
    wait_for(lambda: len(begun(folder)) > 1)
    release(folder)


def run_a_study(folder: Path, uri: str, cluster: ray_cluster.RayCluster) -> None:
    """Run a study on both workers, and require that the server has its runs."""
    toy = toy_folder(folder, "placed", tracking_uri=uri, environment=cluster.environment)
    hold(toy.folder, epoch=2)
    with ThreadPoolExecutor() as pool:  # a worker that is slow to start would find everything trained
        released = pool.submit(release_two, toy.folder)
        toy.run_here("--address", cluster.address, "--storage", str(folder / "results"))
    released.result()
    runs = toy.runs("seed")
    assert len(runs) == 4
    assert {found.info.status for found in runs} == {"FINISHED"}
    assert len({found.data.metrics["node"] for found in runs}) == 2  # both workers had a share
    for found in runs:
        assert found.info.artifact_uri.startswith("mlflow-artifacts:")  # through the server
        model = Path(toy.client.download_artifacts(found.info.run_id, "model.pt", str(folder)))
        assert model.read_text() == f"weights of seed {found.data.tags['mixlab.seed']}"
    assert list((folder / "artifacts").rglob("model.pt"))
    assert toy.table("paper")


def require_the_token(folder: Path, cluster: ray_cluster.RayCluster) -> None:
    """Require that a driver with a wrong token, and one without any, is told in a sentence what to set."""
    wrong = {**cluster.environment, "RAY_AUTH_TOKEN": "f" * 64}
    refused = toy_folder(folder, "placed", environment=wrong).run_here("--address", cluster.address, code=2)
    assert refused.startswith("error: ")
    assert "set RAY_AUTH_TOKEN" in refused, refused
    assert refused.count("\n") == 1, refused
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.delenv("RAY_AUTH_TOKEN", raising=False)
        patch.setenv("HOME", str(folder))  # Ray would find this machine's token below another
        with pytest.raises(BadInput, match="set RAY_AUTH_TOKEN"):
            head.require_entrance(cluster.address)


def examination(*options: str) -> Callable[..., list[str]]:
    """Return a function that lets the doctor examine a cluster, and returns the lines that it prints."""

    def examine(cluster: ray_cluster.RayCluster, code: int, **environment: str) -> list[str]:
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
            for name, value in {**cluster.environment, **environment}.items():
                patch.setenv(name, value)
            assert doctor.main(["--address", cluster.address, *options]) == code, said.getvalue()
        return said.getvalue().splitlines()

    return examine
