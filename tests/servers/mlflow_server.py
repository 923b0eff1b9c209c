"""An MLflow server, started by the compose file's own command and settings, with other addresses."""

import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.servers import postgresql, ray_cluster
from tests.servers.server import started

COMPOSE = Path(__file__).parents[2] / "docker" / "compose.yaml"
START_SECONDS = 120


class MLflowServer:
    """Stopped and started at will, always at the same address. Made by ``running``."""

    def __init__(self, database: str, folder: Path, environment: Mapping[str, str], host: str) -> None:
        service: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]["mlflow"]
        port = postgresql.free_port()
        self.address = f"{host}:{port}"
        self.uri = f"http://{self.address}"
        ours = {
            "MLFLOW_BACKEND_STORE_URI": database,
            "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
            "MLFLOW_SERVER_ALLOWED_HOSTS": self.address,
        }
        assert set(ours) <= set(service["environment"])
        jobs = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.environment = {**environment, **service["environment"], **ours, **jobs}
        self.command = [{"0.0.0.0": host, "5000": str(port)}.get(word, word) for word in service["command"]]
        self.folder = folder
        self.log = folder / "mlflow.log"

    def start(self) -> None:
        """Start, also again after ``stop``; returns when it answers."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.command], env=self.environment, stdout=log, stderr=log, cwd=self.folder
            )
        end = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=5)  # as the health check asks
                return
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.2)

    def stop(self) -> None:
        """End it; clients lose their connections."""
        ray_cluster.end(self.process)


@contextlib.contextmanager
def running(
    database: str, folder: Path, environment: Mapping[str, str], host: str = "127.0.0.1"
) -> Iterator[MLflowServer]:
    """A server for the length of the block, on ``host``, which may be called by that name only."""
    with started(MLflowServer(database, folder, environment, host)) as server:
        yield server
