"""What the tests change in the libraries that they use, and the fixtures that all packages share."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import matplotlib
import pandas as pd
import pytest
import torch
from alembic.script import ScriptDirectory
from filelock import FileLock
from matplotlib.figure import Figure
from mlflow.store.db import utils as db_utils
from mlflow.tracking import MlflowClient
from sqlalchemy import Engine, event
from threadpoolctl import threadpool_limits

from mixlab.tracking.mlflow_private import make_database
from tests.servers.postgresql import new_database, postgresql

__all__ = ["new_database", "postgresql"]

# Two processes run side by side, and threads that wait for each other are slow.
torch.set_num_threads(1)
threadpool_limits(1, "blas")  # numpy's

# Where there is no GPU, torch would note the whole stack at every seed, once for each kind of device.
if not torch.cuda.is_available():
    torch.cuda.manual_seed_all = torch.xpu.manual_seed_all = torch.mtia.manual_seed_all = lambda seed: None

# Text in columns behaves alike however pandas holds it; as Arrow's arrays, small tables take half as long again. The
# tests of any name and those that start a program have the default.
pd.set_option("mode.string_storage", "python")

# MLflow looks up its newest migration for every store that is opened, and each time imports all of them.
_of_config = ScriptDirectory.from_config
_migrations: dict[str | None, ScriptDirectory] = {}


def _imported_once(config: Any) -> ScriptDirectory:
    location = config.get_main_option("script_location")
    if location not in _migrations:
        _migrations[location] = _of_config(config)
    return _migrations[location]


ScriptDirectory.from_config = _imported_once


# MLflow repeats its settings of SQLite in every session, which takes longer than most of what a session is for; here
# ``forgo_durability`` makes them once for each connection.
_sessions_of = db_utils._get_managed_session_maker
db_utils._get_managed_session_maker = lambda sessions, database: _sessions_of(sessions, None)


# SQLAlchemy writes every statement out anew for every database, and those of the tests are alike.
_new_engine = db_utils.create_sqlalchemy_engine
_first: dict[str, Engine] = {}


def _with_known_statements(uri: str) -> Engine:
    engine = _new_engine(uri)
    if uri.startswith("sqlite"):
        first = _first.setdefault("sqlite", engine)
        engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
    return engine


db_utils.create_sqlalchemy_engine = _with_known_statements


# Optuna waits for the disk after every line of a journal; no test cuts the power.
os.fsync = lambda file: None


_paint, _lay_out, _bounds = Figure.savefig, Figure.draw_without_rendering, Figure.get_tightbbox


@pytest.fixture(autouse=True, scope="session")
def _unpainted_figures() -> Iterator[None]:
    """Let figures be made but neither laid out nor painted, which takes longer; ``painted`` does both."""

    def savefig(figure: Figure, file: str | Path | IO[bytes], **options: Any) -> None:
        if isinstance(file, str | Path):
            Path(file).touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        patch.setattr(Figure, "draw_without_rendering", lambda figure: None)
        patch.setattr(Figure, "get_tightbbox", lambda figure, *_, **__: figure.bbox_inches)
        yield


@pytest.fixture
def painted(monkeypatch) -> None:
    """Let this test's figures be painted, with fewer pixels, but not as PDF; ``printed`` does that too."""
    unpainted = Figure.savefig

    def savefig(figure: Figure, file: str | Path | IO[bytes], **options: Any) -> None:
        with matplotlib.rc_context({"savefig.dpi": 30}):
            (unpainted if str(file).endswith(".pdf") else _paint)(figure, file, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    monkeypatch.setattr(Figure, "draw_without_rendering", _lay_out)
    monkeypatch.setattr(Figure, "get_tightbbox", _bounds)


@pytest.fixture
def printed(monkeypatch) -> None:
    """Let this test's figures be painted in full."""
    monkeypatch.setattr(Figure, "savefig", _paint)
    monkeypatch.setattr(Figure, "draw_without_rendering", _lay_out)
    monkeypatch.setattr(Figure, "get_tightbbox", _bounds)


@event.listens_for(Engine, "connect")
def forgo_durability(connection: Any, _: Any) -> None:
    """Let SQLite not wait for the disk after each write, since no test cuts the power, and have MLflow's settings."""
    if isinstance(connection, sqlite3.Connection):
        for setting in ("synchronous = OFF", "foreign_keys = ON", "case_sensitive_like = true"):
            connection.execute(f"PRAGMA {setting}")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """Return an empty MLflow database, made once for all workers: its migration takes seconds, a copy takes none."""
    folder = tmp_path_factory.getbasetemp()
    file = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "mlflow.db"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            make_database(file)
    return file


@pytest.fixture(scope="session")
def new_store(empty_store) -> Callable[[Path], str]:
    """Return a function that puts an empty MLflow database into a folder and returns its URI."""

    def new(folder: Path) -> str:
        shutil.copy(empty_store, folder / "mlflow.db")
        return f"sqlite:///{folder / 'mlflow.db'}"

    return new


@pytest.fixture
def tracking_uri(new_store, tmp_path) -> str:
    """Return the URI of an empty MLflow database of this test's own, ``mlflow.db`` in ``tmp_path``."""
    return new_store(tmp_path)


@pytest.fixture
def client(tracking_uri) -> MlflowClient:
    return MlflowClient(tracking_uri)
