"""Makes the tables of a new database, whoever else makes them at the same time."""

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import IntegrityError, ProgrammingError

Opened = TypeVar("Opened")


def with_tables(open_database: Callable[[], Opened]) -> Opened:
    """Return what ``open_database`` returns; of those that start together on an empty database, one makes its tables.

    The others are refused, in PostgreSQL once all tables are there, and find them at the next attempt.
    """
    for _ in range(5):
        try:
            return open_database()
        except (IntegrityError, ProgrammingError):
            time.sleep(1)
    return open_database()
