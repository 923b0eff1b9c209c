"""An MLflow server, started by the compose file's own command and settings, with other addresses."""

import contextlib
import sys
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import yaml

from tests.servers import postgresql
from tests.servers.program import Program
from tests.servers.server import started

COMPOSE = Path(__file__).parents[2] / "docker" / "compose.yaml"


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
        small = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_WORKERS": "1"}
        self.environment = {**environment, **service["environment"], **ours, **small}
        self.command = [{"0.0.0.0": host, "5000": str(port)}.get(word, word) for word in service["command"]]
        self.folder = folder

    def start(self) -> None:
        """Start, or start again after ``stop``; return once it answers."""
        self.program = Program([sys.executable, "-m", *self.command], self.folder, "mlflow.log", self.environment)
        self.program.until(self._answers)

    def stop(self) -> None:
        """End it; clients lose their connections."""
        self.program.end()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{self.uri}/health", timeout=5)  # as the health check asks
            return True
        return False


def running(
    database: str, folder: Path, environment: Mapping[str, str], host: str = "127.0.0.1"
) -> AbstractContextManager[MLflowServer]:
    """Return a server, which runs inside the block, on ``host``; it may be called only by that name."""
    return started(MLflowServer(database, folder, environment, host))
