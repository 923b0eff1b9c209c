"""The thread that writes to MLflow, and which errors of MLflow it waits out: only those that pass by themselves.

The errors come from a real server and a real database.
"""

import sqlite3
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from mlflow.tracking import MlflowClient
from requests.exceptions import HTTPError
from sqlalchemy import Engine, event
from sqlalchemy.exc import InterfaceError, OperationalError

from mixlab.tracking import writer
from mixlab.tracking.writer import Writer, is_full, is_outage
from tests.servers.server import Handler, HttpServer, started
from tests.waiting import wait_for


def test_a_write_is_repeated_through_an_outage_but_not_once_it_is_abandoned(monkeypatch):
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.001)
    away = True
    tried, later = [], []

    def write() -> None:
        tried.append(0)
        if away:
            raise ConnectionRefusedError

    ours = Writer()
    ours.put(write)
    wait_for(lambda: len(tried) > 2)
    away = False
    assert ours.drain(10)
    assert not ours.outage
    away = ours.leaving_out = True  # this leaves out what a full disk alone refuses
    ours.put(write)
    ours.put(lambda: later.append(0))
    wait_for(lambda: ours.outage)
    ours.abandoned = True
    away = False
    assert ours.drain(10)
    assert not later


def test_a_long_queue_is_counted_while_it_empties(monkeypatch):
    ours, told = Writer(), []
    ours._queue = writes = MagicMock(unfinished_tasks=4)
    writes.all_tasks_done.wait = lambda _: setattr(writes, "unfinished_tasks", writes.unfinished_tasks - 1)
    clock = SimpleNamespace(monotonic=lambda: 6.0 * (4 - writes.unfinished_tasks))  # a write takes six seconds
    monkeypatch.setattr(writer, "time", clock)
    assert ours.drain(10, told.append)
    assert told == [2, 0]  # every ten seconds


def outage_of(write: Callable[[], object]) -> tuple[str, bool]:
    """Return what a writer says of the outage that it waits out, and whether the store is full."""
    ours = Writer()
    ours.put(write)
    wait_for(lambda: ours.outage)
    ours.abandoned = True
    assert ours.drain(10)  # a thread that goes on after the test would print what it logs
    return ours.outage, ours.full


def test_an_outage_is_named_by_what_caused_it(server, monkeypatch):
    """On a full disk the first line of SQLAlchemy's error is advice on its sessions."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.001)

    def write() -> None:
        cause = sqlite3.OperationalError("database or disk is full")
        raise OperationalError("(raised as a result of Query-invoked autoflush)\nINSERT", {}, cause) from cause

    assert outage_of(write) == ("database or disk is full", True)
    monkeypatch.setattr(Answering, "status", 503)
    away = "a server answers, but what is behind it, such as its database, does not: error 503"
    assert outage_of(lambda: MlflowClient(server).create_run("1")) == (away, False)


class Answering(Handler):
    """Gives every request the same answer."""

    status = 500
    body = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.reply(self.body, self.status)


@pytest.fixture(autouse=True)
def _asked_once(monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with started(HttpServer(Answering)) as running:
        yield running.url


def error_of(write: Callable[[], object]) -> Exception:
    try:
        write()
    except Exception as error:
        return error
    raise AssertionError("it was written")


@pytest.mark.parametrize(
    ("status", "body", "outage"),
    [
        (500, b"", True),
        (502, b"<html>bad gateway</html>", True),
        (503, b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "the database is away"}', True),
        (429, b'{"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slower"}', True),
        (408, b"", True),
        (200, b"<html>we are back in five minutes</html>", True),
        (302, b"", False),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "not yours"}', False),
        (404, b"<html>nothing is here</html>", False),
        (413, b"<html>the request is too large</html>", False),
    ],
)
def test_a_servers_answer(server, status, body, outage):
    Answering.status, Answering.body = status, body
    assert is_outage(error_of(lambda: MlflowClient(server).create_run("1"))) == outage


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, None, 403, 404])
@pytest.mark.parametrize("package", ["botocore", "boto3", "requests"])
def test_an_answer_of_a_storage(status, package):
    """Two stand for exceptions of packages that need not be installed; boto3 wraps what a server answers."""
    found: Exception = type("Error", (Exception,), {"__module__": f"{package}.exceptions"})()
    answering = found
    if package == "boto3":
        answering = found.__context__ = type("ClientError", (Exception,), {})()
    if package == "requests":  # by which MLflow gives files to its server
        found = HTTPError(response=status and SimpleNamespace(status_code=status))
    elif status is not None:
        answering.response = {"ResponseMetadata": {"HTTPStatusCode": status}}  # type: ignore[attr-defined]
    assert is_outage(found) == (status not in (403, 404))


def test_which_errors_of_a_database_are_an_outage(tracking_uri, client, tmp_path, monkeypatch):
    assert is_outage(error_of(lambda: MlflowClient("http://127.0.0.1:9").create_run("1")))
    monkeypatch.chdir(tmp_path)  # MLflow makes a folder of the address
    reading = MlflowClient(f"sqlite:///file:{tmp_path}/mlflow.db?mode=ro&uri=true")
    assert not is_outage(error_of(lambda: reading.create_run("0")))
    hasty = MlflowClient(f"{tracking_uri}?timeout=0.01")
    with sqlite3.connect("mlflow.db") as database:
        database.execute("BEGIN EXCLUSIVE")
        assert is_outage(error_of(lambda: hasty.create_run("0")))
        database.execute("DROP TABLE tags")
    assert not is_outage(error_of(lambda: client.create_run("0", tags={"a": "b"})))
    assert is_outage(InterfaceError("", {}, Exception("connection already closed")))  # of PostgreSQL


def test_a_database_without_room_is_full(tracking_uri):
    def grow_no_more(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    event.listen(Engine, "connect", grow_no_more)
    try:
        client = MlflowClient(tracking_uri)
        error = error_of(lambda: [client.create_run("0", tags={"a": 5000 * "b"}) for _ in range(1000)])
    finally:
        event.remove(Engine, "connect", grow_no_more)
    assert is_full(error)
    assert is_outage(error)
