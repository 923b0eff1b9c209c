"""The compose file's topology as plain processes: PostgreSQL, MLflow, a head, two workers; and a study through it."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.servers import mlflow_server, postgresql, ray_cluster
from tests.servers.isolation import run_alone

# Says where it ran; takes long enough for both workers to get a trial.
STUDY = """
import time
import ray
from mixlab import Arm, Study, main

class Toy:
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def __call__(self, config, seed, report, resume_from):
        print("node", ray.get_runtime_context().get_node_id(), flush=True)
        for epoch in (1, 2):
            time.sleep(2)
            metrics = {"epoch": epoch, "epochs": 2, "data": "toy", "train_loss": 1.0 / epoch, "test_top1": 10.0 * seed}
            metrics["node"] = int(ray.get_runtime_context().get_node_id()[:8], 16)
            last = {"test_top1_median10": 50.0 + seed} if epoch == 2 else {}
            report({**metrics, **last}, lambda folder: (folder / "model.pt").write_text(f"weights of seed {seed}"))

    def resolve(self, config):
        return {"epochs": 2, **config}

    def prepare(self, config, data_root):
        pass

    def estimate_seconds(self, config):
        return 4.0

study = Study(name="toy", base={}, arms=(Arm("plain", {}), Arm("other", {"other": 1})), seeds=range(2))

if __name__ == "__main__":
    main(study, Toy())
"""


@pytest.mark.slow
def test_a_study_runs_through_all_of_it(tmp_path: Path) -> None:
    run_alone(__file__, tmp_path, timeout=600)


def run_a_study(folder: Path) -> None:
    """Everything in a network of its own."""
    (folder / "toy_study.py").write_text(STUDY)
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgresql.running()).create_database()
        cluster = stack.enter_context(ray_cluster.running())
        uri = stack.enter_context(mlflow_server.running(database, folder, cluster.environment)).uri
        for number in (1, 2):  # one after another: they look for free ports
            (folder / f"worker{number}").mkdir()
            cluster.add_worker(cwd=folder / f"worker{number}")
            cluster.wait_for(1 + number)
        where = ("--address", cluster.address, "--storage", str(folder / "results"))

        def run(*command: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, *command, *where],
                env=cluster.environment,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=300,
            )

        done = run("toy_study.py", "--tracking-uri", uri)
        assert done.returncode == 0, done.stdout + done.stderr
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("toy")
        runs = client.search_runs([experiment.experiment_id], "tags.`mixlab.level` = 'seed'")
        assert len(runs) == 4
        assert {found.info.status for found in runs} == {"FINISHED"}
        assert len({found.data.metrics["node"] for found in runs}) == 2  # both workers had a share
        for found in runs:
            assert found.info.artifact_uri.startswith("mlflow-artifacts:")  # through the server
            model = Path(client.download_artifacts(found.info.run_id, "model.pt", str(folder)))
            assert model.read_text() == f"weights of seed {found.data.tags['mixlab.seed']}"
        assert list((folder / "artifacts").rglob("model.pt"))
        assert (folder / "results" / "toy" / "paper" / "table.md").exists()

        again = run("toy_study.py", "--tracking-uri", uri)
        assert again.returncode == 0, again.stdout + again.stderr
        assert len(client.search_runs([experiment.experiment_id], "tags.`mixlab.level` = 'seed'")) == 4

        well = run("-m", "mixlab.doctor", "--tracking-uri", uri)
        assert well.returncode == 0, well.stdout + well.stderr
        assert f"{uri} answers, on the driver and 3 nodes" in well.stdout
        other = uri.replace("127.0.0.1", "localhost")
        ill = run("-m", "mixlab.doctor", "--tracking-uri", other)
        assert ill.returncode == 1, ill.stdout + ill.stderr
        refused = [line for line in ill.stdout.splitlines() if line.startswith("red")]
        assert len(refused) == 4  # the driver and every node
        assert all("HTTP 403" in line and "--allowed-hosts localhost:" in line for line in refused)


if __name__ == "__main__":
    run_a_study(Path(sys.argv[1]))
