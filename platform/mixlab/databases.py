"""Makes the tables of a new database, whoever else makes them at the same time."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import filelock
from sqlalchemy.exc import IntegrityError, ProgrammingError

Opened = TypeVar("Opened")


@contextmanager
def only_maker(file: Path | None, seconds: float) -> Iterator[None]:
    """Let one process at a time create or migrate an SQLite file, and wait so long for another: two would crash."""
    if file is None:
        yield
        return
    file = Path(os.path.realpath(file))  # a link may lead to a folder that is not there yet
    file.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(file.with_name(f".{file.name}.lock"), timeout=seconds):
        yield


def with_tables(open_database: Callable[[], Opened]) -> Opened:
    """Return what ``open_database`` returns; of those that start together on an empty server, one makes the tables.

    The others are refused, by PostgreSQL once all tables are there, and find them at the next attempt.
    """
    for _ in range(5):
        try:
            return open_database()
        except (IntegrityError, ProgrammingError):
            time.sleep(1)
    return open_database()
