"""MLflow's server, and the database behind it, away in the middle of a study: training goes on, nothing is lost or
doubled. Answers that are lost are no answers: what was written then is not written twice."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from tests.servers import mlflow_server
from tests.servers.mlflow_server import MLflowServer
from tests.servers.postgresql import PostgreSQL

pytestmark = pytest.mark.slow

EPOCHS = 14
SEEDS = 4  # of which two train at a time
AWAY_SECONDS = 60.0  # at least, of the server
STUDY = """
import os, time
from pathlib import Path
from mixlab import Arm, Study, main, tracking

tracking.DRAIN_SECONDS = float(os.environ.get("DRAIN", 60))
FOLDER = Path(__file__).parent

class Toy:
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def __call__(self, config, seed, report, resume_from):
        done = int((resume_from / "epoch").read_text()) if resume_from else 0
        for epoch in range(done + 1, config["epochs"] + 1):
            time.sleep(config["pause"])
            while seed >= 2 and epoch == 5 and (FOLDER / "closed").exists():
                time.sleep(0.1)
            with (FOLDER / f"seed-{seed}").open("a") as file:
                print(epoch, file=file)
            metrics = {"epoch": epoch, "epochs": config["epochs"], "data": "toy", "train_loss": 1 / epoch}
            metrics |= {"test_top1": 10.0 * seed + epoch}
            if epoch == config["epochs"]:
                metrics["test_top1_median10"] = 50.0 + seed
            report(metrics, lambda folder: self.save(folder, epoch, seed))

    def save(self, folder, epoch, seed):
        (folder / "epoch").write_text(str(epoch))
        (folder / "model.pt").write_text(f"weights of seed {seed}")

    def resolve(self, config):
        return {"epochs": EPOCHS, "pause": 0.2, **config}

    def prepare(self, config, data_root):
        pass

    def estimate_seconds(self, config):
        return 4.0

study = Study(name=FOLDER.name, base={}, arms=(Arm("plain", {}),), seeds=range(SEEDS))

if __name__ == "__main__":
    main(study, Toy())
""".replace("EPOCHS", str(EPOCHS)).replace("SEEDS", str(SEEDS))


@pytest.fixture(scope="module")
def server(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflowServer]:
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server.running(postgresql.create_database(), folder, os.environ) as server:
        yield server


@contextlib.contextmanager
def driver(folder: Path, uri: str, *options: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A start of the study, whose output goes to ``out.txt``; it does not outlive the block."""
    (folder / "toy_study.py").write_text(STUDY)
    command = [sys.executable, "toy_study.py", "--tracking-uri", uri, *options]
    with (folder / "out.txt").open("ab") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def said(folder: Path) -> str:
    return (folder / "out.txt").read_text()


def trained(folder: Path) -> list[str]:
    """The epochs that were trained, by the trials' own account."""
    return [f"{file.name} {epoch}" for file in sorted(folder.glob("seed-*")) for epoch in file.read_text().split()]


def wait_until(happens: Callable[[], object], folder: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, said(folder)[-4000:]
        time.sleep(0.1)


def seed_runs(uri: str, folder: Path) -> list[Run]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(folder.name)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], "tags.`mixlab.level` = 'seed'"))


def require_everything_once(uri: str, folder: Path) -> None:
    """Each run once, and in it each epoch of each metric once, the parameters and the weights."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(folder.name)
    every = client.search_runs([experiment.experiment_id])
    assert len(every) == 2 + SEEDS  # the study, its arm, the seeds
    assert {run.info.status for run in every} == {"FINISHED"}
    runs = seed_runs(uri, folder)
    assert sorted(run.data.tags["mixlab.seed"] for run in runs) == [str(seed) for seed in range(SEEDS)]
    for run in runs:
        seed = int(run.data.tags["mixlab.seed"])
        for name, value in (("train_loss", lambda e: 1 / e), ("test_top1", lambda e, seed=seed: 10.0 * seed + e)):
            history = client.get_metric_history(run.info.run_id, name)
            assert [(point.step, point.value) for point in history] == [(e, value(e)) for e in range(1, EPOCHS + 1)]
        assert run.data.params == {"epochs": str(EPOCHS), "pause": "0.2", "seed": str(seed)}
        model = Path(client.download_artifacts(run.info.run_id, "model.pt", str(folder)))
        assert model.read_text() == f"weights of seed {seed}"
    assert len(trained(folder)) == len(set(trained(folder))) == SEEDS * EPOCHS


def test_training_goes_on_while_mlflow_or_its_database_is_away(
    server: MLflowServer, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    (tmp_path / "closed").touch()  # the later trials wait in epoch 5
    with driver(tmp_path, server.uri) as process:
        wait_until(lambda: len(trained(tmp_path)) >= 4, tmp_path)
        server.stop()
        back = time.monotonic() + AWAY_SECONDS
        # Away until two trials have ended and others begun: their runs are ended and made later.
        wait_until(lambda: {"seed-2 3", "seed-3 3"} <= set(trained(tmp_path)), tmp_path)
        assert "seed 0: done" in said(tmp_path)
        assert "seed 1: done" in said(tmp_path)
        time.sleep(max(0.0, back - time.monotonic()))
        server.start()
        wait_until(lambda: len(seed_runs(server.uri, tmp_path)) == SEEDS, tmp_path)

        before = len(trained(tmp_path))
        postgresql.stop()
        try:
            (tmp_path / "closed").unlink()
            wait_until(lambda: len(trained(tmp_path)) >= before + 4, tmp_path)
        finally:
            postgresql.start()
        assert process.wait(120) == 0, said(tmp_path)[-4000:]
    require_everything_once(server.uri, tmp_path)


def test_what_mlflow_missed_is_written_by_the_same_command(server: MLflowServer, tmp_path: Path) -> None:
    with driver(tmp_path, server.uri, DRAIN="3") as process:
        wait_until(lambda: len(trained(tmp_path)) >= 4, tmp_path)
        server.stop()
        assert process.wait(120) == 1
    assert "does not answer. Nothing is lost" in said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    server.start()
    assert "RUNNING" in {run.info.status for run in seed_runs(server.uri, tmp_path)}
    with driver(tmp_path, server.uri) as process:
        assert process.wait(120) == 0, said(tmp_path)[-4000:]
    require_everything_once(server.uri, tmp_path)


def test_a_write_whose_answer_was_lost_is_not_written_twice(server: MLflowServer, tmp_path: Path) -> None:
    with deaf(server.address) as proxy, driver(tmp_path, f"http://{proxy.address}") as process:
        assert process.wait(180) == 0, said(tmp_path)[-4000:]
    assert proxy.cut.count("runs/create") == 2 + SEEDS  # every run was made by a request without an answer
    assert proxy.cut.count("runs/log-batch") >= 4
    require_everything_once(server.uri, tmp_path)


class Deaf:
    """Passes requests on to ``server``; hangs up, once it is answered, on every making of a run and some batches."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.cut: list[str] = []
        self.batches = 0

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                threading.Thread(target=self._pass_on, args=(self.socket.accept()[0],), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        host, port = self.server.split(":")
        hang_up = threading.Event()
        with client, socket.create_connection((host, int(port))) as server, contextlib.suppress(OSError):
            threading.Thread(target=self._answer, args=(server, client, hang_up), daemon=True).start()
            while data := client.recv(1 << 16):
                if self._is_cut(data):
                    hang_up.set()
                server.sendall(data.replace(self.address.encode(), self.server.encode()))

    def _answer(self, server: socket.socket, client: socket.socket, hang_up: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if hang_up.is_set():
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def _is_cut(self, data: bytes) -> bool:
        request = data.split(b"\r\n", 1)[0]
        if b"runs/log-batch" in request:
            self.batches += 1
            if self.batches % 16 == 0:
                self.cut.append("runs/log-batch")
                return True
        if b"runs/create" in request:
            self.cut.append("runs/create")
            return True
        return False


@contextlib.contextmanager
def deaf(server: str) -> Iterator[Deaf]:
    proxy = Deaf(server)
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.socket.close()
