"""MLflow's server, and the database behind it, go away in the middle of a study: training goes on, and nothing is lost
or doubled. A write that got no answer is repeated, but it is not recorded twice."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mixlab.recorded import SEEDS, require_everything_once
from tests.servers import mlflow_server
from tests.servers.mlflow_server import MLflowServer
from tests.servers.postgresql import PostgreSQL
from tests.servers.program import environment
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import epochs_of, hold, notes, release

pytestmark = pytest.mark.slow

AWAY_SECONDS = 10.0  # at least, of the server: several times what the writer waits between two attempts


@pytest.fixture(scope="module")
def server(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflowServer]:
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server.running(postgresql.create_database(), folder, os.environ) as server:
        yield server


def recorded_folder(folder: Path, uri: str) -> StudyFolder:
    return toy_folder(folder, "recorded", study=folder.name, tracking_uri=uri)


def test_training_goes_on_while_mlflow_or_its_database_is_away(
    server: MLflowServer, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    toy = recorded_folder(tmp_path, server.uri)
    hold(tmp_path, epoch=5, seeds=(2, 3))
    with toy.start() as driver:
        driver.until(lambda: len(notes(tmp_path, "epochs")) >= 4)
        server.stop()
        back = time.monotonic() + AWAY_SECONDS
        # Away until two trials have ended and others begun: their runs are ended and made later.
        driver.until(lambda: all(3 in epochs_of(tmp_path).get(seed, ()) for seed in (2, 3)))
        assert "seed 0: done" in driver.said
        assert "seed 1: done" in driver.said
        time.sleep(max(0.0, back - time.monotonic()))
        server.start()
        driver.until(lambda: len(toy.runs("seed")) == SEEDS)

        before = len(notes(tmp_path, "epochs"))
        postgresql.stop()
        try:
            release(tmp_path)
            driver.until(lambda: len(notes(tmp_path, "epochs")) >= before + 4)
        finally:
            postgresql.start()
        driver.finish()
    require_everything_once(recorded_folder(tmp_path, server.uri))


def test_what_mlflow_missed_is_written_by_the_same_command(server: MLflowServer, tmp_path: Path) -> None:
    toy = recorded_folder(tmp_path, server.uri)
    with toy.start(environment=environment(DRAIN_SECONDS="3")) as driver:
        driver.until(lambda: len(notes(tmp_path, "epochs")) >= 4)
        server.stop()
        said = driver.finish(code=1)
    assert "does not answer. Nothing is lost" in said
    assert "Traceback" not in said
    server.start()
    assert "RUNNING" in toy.statuses()
    toy.run_here()
    require_everything_once(recorded_folder(tmp_path, server.uri))


def test_a_write_whose_answer_was_lost_is_not_written_twice(server: MLflowServer, tmp_path: Path) -> None:
    with deaf(server.address) as proxy:
        toy = recorded_folder(tmp_path, f"http://{proxy.address}")
        toy.run()
    assert proxy.cut.count("runs/create") == 2 + SEEDS  # every run was made by a request without an answer
    assert proxy.cut.count("runs/log-batch") >= 4
    require_everything_once(recorded_folder(tmp_path, server.uri))


class Deaf:
    """Passes requests on to ``server``; after the answer it hangs up on every creation of a run and some batches."""

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
