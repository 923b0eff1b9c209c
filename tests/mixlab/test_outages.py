"""MLflow's server, the database behind it and the way to it go away in the middle of a study: training goes on, and
nothing is lost or doubled. A write that got no answer is repeated, but it is not recorded twice."""

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests

from tests.mixlab.recorded import SEEDS, require_everything_once
from tests.servers import mlflow_server
from tests.servers.mlflow_server import MLflowServer
from tests.servers.postgresql import PostgreSQL
from tests.servers.program import Program, environment
from tests.servers.server import Handler, HttpServer, started
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import epochs_of, hold, release

pytestmark = pytest.mark.slow

AWAY_SECONDS = 10.0  # at least, of the server: several times what the writer waits between two attempts


@pytest.fixture(scope="module")
def server(postgresql, tmp_path_factory) -> Iterator[MLflowServer]:
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server.running(postgresql.create_database(), folder, os.environ) as server:
        yield server


def test_training_goes_on_and_everything_is_written_once(server, postgresql, tmp_path):
    toy = toy_folder(tmp_path, "recorded", study=tmp_path.name, tracking_uri=server.uri)
    hold(tmp_path, epoch=5)
    with (
        started(Deaf(server.uri)) as proxy,
        replace(toy, tracking_uri=proxy.url).start(environment=environment(DRAIN_SECONDS="3")) as driver,
    ):

        def made(seeds: int) -> bool:
            return proxy.cut.count("runs/create") == 2 + seeds and len(toy.runs("seed")) == seeds

        driver.until(lambda: made(2))
        lose_the_server(server, toy, driver)
        driver.until(lambda: made(SEEDS))
        lose_the_database(postgresql, toy, driver)
        # The way to the server is lost until the driver gives up.
        proxy.stop()
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


class Deaf(HttpServer):
    """Passes requests on to ``server``, but gives no answer to the creation of a run and to every fourth batch."""

    def __init__(self, server: str) -> None:
        cut = self.cut = list[str]()
        batches = itertools.count(1)

        class PassOn(Handler):
            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name: value for name, value in self.headers.items() if name != "Host"}
                with contextlib.suppress(OSError):  # the server is away
                    answer = requests.request(self.command, server + self.path, data=body, headers=headers)
                    call = "/".join(self.path.split("/")[-2:])
                    if call == "runs/create" or (call == "runs/log-batch" and next(batches) % 4 == 0):
                        cut.append(call)
                    else:
                        self.reply(
                            answer.content, answer.status_code, Content_Type=answer.headers.get("Content-Type", "")
                        )

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

        super().__init__(PassOn)
