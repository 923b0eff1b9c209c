"""The compose file's topology as plain processes: PostgreSQL, MLflow, a head, two workers; and a study through it."""

import contextlib
import sys
from pathlib import Path

import pytest

from mixlab.doctor import probes
from tests.servers import mlflow_server, postgresql, ray_cluster
from tests.servers.program import run, run_alone
from tests.study_folder import toy_folder


@pytest.mark.slow
def test_a_study_runs_through_all_of_it(tmp_path: Path) -> None:
    run_alone(__file__, tmp_path)


def run_a_study(folder: Path) -> None:
    """Run everything in a network of its own."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgresql.running()).create_database()
        cluster = stack.enter_context(ray_cluster.running())
        uri = stack.enter_context(mlflow_server.running(database, folder, cluster.environment)).uri
        for number in (1, 2):  # one after another: they look for free ports
            (folder / f"worker{number}").mkdir()
            cluster.add_worker(cwd=folder / f"worker{number}")
            cluster.wait_for(1 + number)
        where = ("--address", cluster.address, "--storage", str(folder / "results"))

        toy = toy_folder(folder, "placed", tracking_uri=uri, environment=cluster.environment)
        toy.run_here(*where)
        runs = toy.runs("seed")
        assert len(runs) == 4
        assert {found.info.status for found in runs} == {"FINISHED"}
        assert len({found.data.metrics["node"] for found in runs}) == 2  # both workers had a share
        client = toy.client
        for found in runs:
            assert found.info.artifact_uri.startswith("mlflow-artifacts:")  # through the server
            model = Path(client.download_artifacts(found.info.run_id, "model.pt", str(folder)))
            assert model.read_text() == f"weights of seed {found.data.tags['mixlab.seed']}"
        assert list((folder / "artifacts").rglob("model.pt"))
        assert toy.table("paper")

        doctor = (sys.executable, "-m", "mixlab.doctor", *where, "--tracking-uri", uri)
        well = run(doctor, folder, environment=cluster.environment)
        assert f"{uri} answers, on the driver and 3 nodes" in well
        # By a name that the server does not allow; the doctor's words for it are in test_doctor.
        assert probes.tracking(uri.replace("127.0.0.1", "localhost")).startswith("HTTP 403 Invalid Host header")


if __name__ == "__main__":
    run_a_study(Path(sys.argv[1]))
