"""Opens and makes databases, and reads many runs at once, by the private parts of MLflow that ``constraints.txt`` pins.

MLflow itself builds several objects for every value of a run, which takes a millisecond a run. Here a row of a table is
a tuple. ``tests/mixlab/tracking/test_mlflow_private.py`` names the pinned version when it fails.
"""

import logging
import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlParam, SqlRun, SqlTag
from mlflow.tracking import MlflowClient
from sqlalchemy import Engine, Select, event, select

from mixlab.spec.trial import State
from mixlab.tracking.names import STATES
from mixlab.uris import sqlite_uri

FEW = 100  # up to so many runs are named in the next statements; more are looked for again
# A run's id, its state, the milliseconds of its start and its end, its tags, its parameters and its latest metrics.
Values = tuple[str, State, int, int | None, dict[str, str], dict[str, str], dict[str, float]]
Table = type[SqlTag] | type[SqlParam] | type[SqlLatestMetric]


def runs_in_database(
    client: MlflowClient, experiment: str, tags: Mapping[str, str], *, params: bool
) -> list[Values] | None:
    """Return every run that has the last of ``tags``, the latest first; None if the store is behind a server.

    The last tag is the one that tells runs apart, and the only one that is looked for: to look for another, which
    thousands of runs have, would take as long as reading all of those. Parameters are read only if they are asked for.
    Faults of the database are raised as MLflow's exceptions.
    """
    store = client._tracking_client.store
    if not hasattr(store, "ManagedSessionMaker"):
        return None
    columns = SqlRun.run_uuid, SqlRun.status, SqlRun.start_time, SqlRun.end_time
    order = SqlRun.start_time.desc(), SqlRun.run_uuid
    with store.ManagedSessionMaker() as session:
        found = session.execute(_matching(select(*columns), experiment, tags).order_by(*order)).all()
        if not found:
            return []
        few = len(found) <= FEW
        ids = [row.run_uuid for row in found] if few else _matching(select(SqlRun.run_uuid), experiment, tags)
        tagged = _values(session, SqlTag, ids)
        given = _values(session, SqlParam, ids) if params else {}
        metrics = _values(session, SqlLatestMetric, ids, SqlLatestMetric.is_nan)
    return [
        (run, STATES[status], start, end, tagged.get(run, {}), given.get(run, {}), metrics.get(run, {}))
        for run, status, start, end in found
    ]


def limit_attempts() -> None:
    """Let MLflow try a database that refuses it for 12 s, not for 101, and not print an exception each time.

    All other stores of the process wait meanwhile.
    """
    from mlflow.store.db import utils  # takes a third of a second; a server needs none

    utils.MAX_RETRY_COUNT = 7
    utils._logger.setLevel(logging.CRITICAL)


def make_database(file: Path) -> None:
    """Make an SQLite database for a store without a wait for the disk after each of the thousand steps MLflow takes.

    It gets its name once it is whole: MLflow could not go on with a part of its tables, as a killed start leaves them.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # takes half a second; a server needs none

    begun = file.with_name(f".{file.name}.new")
    begun.unlink(missing_ok=True)
    begun.touch()  # SQLite would make a file that only its user may write, whatever the umask lets a group do
    event.listen(Engine, "connect", _hurry)
    try:
        store: Any = SqlAlchemyStore(sqlite_uri(begun), DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
    finally:
        event.remove(Engine, "connect", _hurry)
    store.engine.dispose()  # later connections wait, since what they write has to survive a power failure
    begun.rename(file)


def _hurry(connection: Any, _: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


def _matching(chosen: Select[Any], experiment: str, tags: Mapping[str, str]) -> Select[Any]:
    runs = chosen.where(SqlRun.experiment_id == int(experiment), SqlRun.lifecycle_stage == "active")
    for name, value in list(tags.items())[-1:]:
        having = select(SqlTag.run_uuid).where(SqlTag.key == name, SqlTag.value == value)
        runs = runs.where(SqlRun.run_uuid.in_(having))
    return runs


def _values(session: Any, table: Table, ids: Any, *is_nan: Any) -> dict[str, dict[str, Any]]:
    """Return what a table holds of these runs, by the id of the run and then by key; NaN where ``is_nan`` holds."""
    found: dict[str, dict[str, Any]] = {}
    chosen = select(table.run_uuid, table.key, table.value, *is_nan).where(table.run_uuid.in_(ids))
    for run, key, value, *nan in session.execute(chosen):
        found.setdefault(run, {})[key] = math.nan if nan == [True] else value
    return found
