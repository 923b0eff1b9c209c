"""The set-up of every test process, and the fixtures that all packages share: empty MLflow stores and a PostgreSQL."""

import atexit
import gc
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks: the tests put data on the CPU, and know the CPU's numbers

import pytest
import torch
from filelock import FileLock
from mlflow.tracking import MlflowClient
from sqlalchemy import Engine, event

import mixlab  # before any test imports ray, which reads the environment that mixlab sets
from tests.servers.postgresql import new_database, postgresql

# Two processes run side by side, and threads that wait for each other are slow.
torch.set_num_threads(1)

# This acts as Ctrl-C, so that whatever a test has started is ended by its own means.
signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))

# A command in the background of a shell is deaf to SIGINT, with all its children: tests that interrupt one would fail.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What is imported and collected stays; to look through it again and again for garbage takes seconds.
gc.disable()
atexit.register(gc.unfreeze)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@event.listens_for(Engine, "connect")
def _forgo_durability(connection: Any, _: Any) -> None:
    """Let SQLite not wait for the disk after each write: no test cuts the power."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


__all__ = ["mixlab", "new_database", "postgresql"]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return an empty MLflow database, made once for all workers: its migration takes seconds, a copy takes none."""
    folder = tmp_path_factory.getbasetemp()
    file = (folder if worker_id == "master" else folder.parent) / "mlflow.db"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            made = file.with_suffix(".new")
            MlflowClient(f"sqlite:///{made}").search_experiments()
            made.rename(file)
    return file


@pytest.fixture(scope="session")
def new_store(empty_store: Path) -> Callable[[Path], str]:
    """Return a function that puts an empty MLflow database into a folder and returns its URI."""

    def new(folder: Path) -> str:
        shutil.copy(empty_store, folder / "mlflow.db")
        return f"sqlite:///{folder / 'mlflow.db'}"

    return new


@pytest.fixture
def tracking_uri(new_store: Callable[[Path], str], tmp_path: Path) -> str:
    """Return the URI of an empty MLflow database of this test's own, ``mlflow.db`` in ``tmp_path``."""
    return new_store(tmp_path)
