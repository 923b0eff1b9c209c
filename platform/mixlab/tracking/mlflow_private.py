"""Makes a database through the private parts of MLflow that ``constraints.txt`` pins.

``tests/mixlab/tracking/test_mlflow_private.py`` names the pinned version when it fails.
"""

import sqlite3
from typing import Any

from mlflow.tracking import MlflowClient
from sqlalchemy import Engine, event


def make_database(tracking_uri: str) -> None:
    """Make a store's SQLite database without a wait for the disk after each of the thousand steps that MLflow takes."""
    event.listen(Engine, "connect", _hurry)
    try:
        store: Any = MlflowClient(tracking_uri)._tracking_client.store
    finally:
        event.remove(Engine, "connect", _hurry)
    store.engine.dispose()  # later connections wait, since what they write has to survive a power failure


def _hurry(connection: Any, _: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")
