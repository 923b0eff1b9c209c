"""Makes the tables of a new database, whoever else makes them at the same time, and waits for a server that is away."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import filelock
from rich.console import Console
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError, ProgrammingError

from mixlab.messages import say
from mixlab.processes import AWAY_SECONDS

Opened = TypeVar("Opened")


@contextmanager
def only_maker(file: Path | None, seconds: float) -> Iterator[None]:
    """Let one process at a time create or migrate an SQLite file, and wait for another: two at once would crash."""
    if file is None:
        yield
        return
    file = Path(os.path.realpath(file))  # a link may lead to a folder that is not there yet
    file.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(file.with_name(f".{file.name}.lock"), timeout=seconds):
        yield


def with_tables(open_database: Callable[[], Opened]) -> Opened:
    """Return what ``open_database`` returns, which is called again if other processes were making the tables.

    Of those that start together on an empty server, one makes the tables. The others are refused, by PostgreSQL once
    all tables are there, and find them at the next attempt.
    """
    for _ in range(5):
        try:
            return open_database()
        except (IntegrityError, ProgrammingError):
            time.sleep(1)
    return open_database()


@contextmanager
def connections() -> Iterator[Event]:
    """Yield an event that is set once any database has taken a connection inside the block."""
    taken = Event()

    def take(*_: Any) -> None:
        taken.set()

    event.listen(Engine, "connect", take)
    try:
        yield taken
    finally:
        event.remove(Engine, "connect", take)


def wait_for_server(engine: Engine) -> None:
    """Let ``engine``, whose pool tries each connection before it is used, wait for its server, and say so."""
    away = Event()  # whether it has been said, by whichever thread

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, given: Any, options: Any) -> Any:
        until = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                connection = dialect.connect(*given, **options)
            except dialect.loaded_dbapi.OperationalError:
                if time.monotonic() > until:
                    raise
                if not away.is_set():
                    away.set()
                    place = engine.url.render_as_string()  # without its password
                    say(Console(stderr=True), f"The database at {place} does not answer; waiting for it")
                time.sleep(1)
            else:
                away.clear()
                return connection
