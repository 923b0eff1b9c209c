"""MLflow's server, the database behind it and the way to it go away in the middle of a study: training goes on, and
nothing is lost or doubled. A write that got no answer is repeated, but it is not recorded twice."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.mixlab.recorded import SEEDS, require_everything_once
from tests.servers import mlflow_server
from tests.servers.mlflow_server import MLflowServer
from tests.servers.postgresql import PostgreSQL
from tests.servers.program import Program, environment
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import epochs_of, hold, release

AWAY_SECONDS = 10.0  # at least, of the server: several times what the writer waits between two attempts


@pytest.fixture(scope="module")
def server(postgresql, tmp_path_factory) -> Iterator[MLflowServer]:
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server.running(postgresql.create_database(), folder, os.environ) as server:
        yield server


@pytest.mark.slow
def test_training_goes_on_and_everything_is_written_once(server, postgresql, tmp_path):
    toy = toy_folder(tmp_path, "recorded", study=tmp_path.name, tracking_uri=server.uri)
    hold(tmp_path, epoch=5)
    with (
        deaf(server.address) as proxy,
        replace(toy, tracking_uri=f"http://{proxy.address}").start(
            environment=environment(DRAIN_SECONDS="3")
        ) as driver,
    ):

        def made(seeds: int) -> bool:
            return proxy.cut.count("runs/create") == 2 + seeds and len(toy.runs("seed")) == seeds

        driver.until(lambda: made(2))
        lose_the_server(server, toy, driver)
        driver.until(lambda: made(SEEDS))
        lose_the_database(postgresql, toy, driver)
        # The way to the server is lost until the driver gives up.
        proxy.close()
        release(tmp_path)
        said = driver.finish(code=1)
    assert "does not answer. Nothing is lost" in said
    assert "Traceback" not in said
    assert proxy.cut.count("runs/create") == 2 + SEEDS  # every run was made by a request without an answer
    assert proxy.cut.count("runs/log-batch") >= 4

    assert "RUNNING" in toy.statuses()
    toy.run_here()
    require_everything_once(toy)


def lose_the_server(server: MLflowServer, toy: StudyFolder, driver: Program) -> None:
    """Stop it until two trials have ended and others begun: their runs are ended and made later."""
    server.stop()
    back = time.monotonic() + AWAY_SECONDS
    hold(toy.folder, epoch=5, seeds=(2, 3))
    driver.until(lambda: all(4 in epochs_of(toy.folder).get(seed, ()) for seed in (2, 3)))
    assert "seed 0: done" in driver.said
    assert "seed 1: done" in driver.said
    time.sleep(max(0.0, back - time.monotonic()))
    server.start()


def lose_the_database(postgresql: PostgreSQL, toy: StudyFolder, driver: Program) -> None:
    """Stop it for some epochs, which the driver writes once it is back."""
    postgresql.stop()
    try:
        hold(toy.folder, epoch=12)
        driver.until(lambda: all(11 in epochs_of(toy.folder)[seed] for seed in (2, 3)))
    finally:
        postgresql.start()
    latest = [1 / 14, 1 / 14, 1 / 11, 1 / 11]  # the training loss of an epoch is 1 / its number
    driver.until(lambda: sorted(run.data.metrics.get("train_loss", 1) for run in toy.runs("seed")) == latest)


class Deaf:
    """Passes requests on to ``server``; after the answer it hangs up on every creation of a run and some batches."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.cut: list[str] = []
        self.closed = False
        self.batches = 0

    def close(self) -> None:
        """Pass nothing on any more."""
        self.closed = True
        self.socket.close()

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                threading.Thread(target=self._pass_on, args=(self.socket.accept()[0],), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        host, port = self.server.split(":")
        hang_up = threading.Event()
        with contextlib.suppress(OSError), client, socket.create_connection((host, int(port))) as server:
            threading.Thread(target=self._answer, args=(server, client, hang_up), daemon=True).start()
            while (data := client.recv(1 << 16)) and not self.closed:
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
        if not request.startswith(b"POST "):  # the body of an artifact, such as a patch that names these requests
            return False
        if b"runs/log-batch" in request:
            self.batches += 1
            if self.batches % 4 == 0:
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
        proxy.close()
