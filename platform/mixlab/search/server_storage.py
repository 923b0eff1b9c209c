"""Keeps trials on a database server: what a lost connection has cut off is done again, and nothing is done twice."""

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage, get_storage
from sqlalchemy import Connection, text

from mixlab.processes import this_process

LOG = logging.getLogger("mixlab")

PAUSE_SECONDS = 1.0  # before what a lost connection has cut off is done again
Result = TypeVar("Result")


class ServerStorage:
    """Passes each request on to Optuna's storage, and repeats it if its connection is lost.

    All requests outside ``once`` may be repeated, even if the first was carried out and only its answer was lost.
    """

    def __init__(self, database: RDBStorage) -> None:
        self._database = database
        self._storage = get_storage(database)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*given: Any, **named: Any) -> Any:
            repeated = False
            while True:
                try:
                    return getattr(self._storage, name)(*given, **named)
                except UpdateFinishedTrialError:
                    if not repeated:
                        raise
                    return True  # the first request has ended the trial
                except Exception as error:
                    if isinstance(self._database.scoped_session.bind, Connection) or not _lost(error):
                        raise
                    _pause()
                repeated = True

        return ask

    def once(self, lock: str, work: Callable[[], Result]) -> Result:
        """Return what ``work`` returns, during which all others are kept out that have a ``lock`` of this name.

        All that ``work`` does here is one transaction. If its connection is lost, ``work`` is called again, unless the
        transaction had come to its end.
        """
        # The lock has a row of its own: whoever writes to the others would wait for the lock that it holds itself.
        study: Any = optuna.create_study(storage=self, study_name=lock, load_if_exists=True)
        mine, token = f"latest of {this_process()}", secrets.token_hex(8)
        sessions = self._database.scoped_session
        while True:
            with self._database.engine.connect() as connection:
                try:
                    with connection.begin():
                        found = "SELECT study_id FROM studies WHERE study_name = :name FOR UPDATE"
                        connection.execute(text(found), {"name": lock})
                        sessions.remove()
                        sessions(bind=connection, join_transaction_mode="create_savepoint")
                        if study.user_attrs.get(mine) != token:
                            result = work()
                            study.set_user_attr(mine, token)
                        return result
                except Exception:
                    if not connection.invalidated:
                        raise
                    _pause()
                finally:
                    sessions.remove()
            self._storage = get_storage(self._database)  # the old one knows what was rolled back


def _lost(error: Exception) -> bool:
    """Return whether a request failed because its connection was lost."""
    return bool(getattr(error.__cause__ or error, "connection_invalidated", False))


def _pause() -> None:
    LOG.warning("the database of the trials has dropped a connection; trying again", exc_info=True)
    time.sleep(PAUSE_SECONDS)
