"""MLflow is waited for only if its error passes by itself; the errors here come from a real server and database."""

import sqlite3
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import Engine, event

from mixlab.tracking.writer import is_full, is_outage


class Answering(BaseHTTPRequestHandler):
    """Gives every request the same answer."""

    status = 500
    body = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(self.status)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answering) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


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
        (429, b"", True),
        (408, b"", True),
        (200, b"<html>we are back in five minutes</html>", True),
        (302, b"", False),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "not yours"}', False),
        (404, b"<html>nothing is here</html>", False),
        (413, b"<html>the request is too large</html>", False),
    ],
)
def test_a_servers_answer(server: str, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, outage: bool) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    Answering.status, Answering.body = status, body
    assert is_outage(error_of(lambda: MlflowClient(server).create_run("1"))) == outage


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert is_outage(error_of(lambda: MlflowClient("http://127.0.0.1:9").create_run("1")))


def test_a_database_that_is_read_only_or_another_is_no_outage(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MLflow makes a folder of the address
    file = Path(tracking_uri.removeprefix("sqlite:///"))
    client = MlflowClient(f"sqlite:///file:{file}?mode=ro&uri=true")
    assert not is_outage(error_of(lambda: client.create_run("0")))
    client = MlflowClient(tracking_uri)  # it would make what is missing now
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE tags")
    assert not is_outage(error_of(lambda: client.create_run("0", tags={"a": "b"})))


def test_a_database_that_another_program_holds_is_an_outage(tracking_uri: str) -> None:
    client = MlflowClient(f"{tracking_uri}?timeout=0.01")
    with sqlite3.connect(tracking_uri.removeprefix("sqlite:///")) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert is_outage(error_of(lambda: client.create_run("0")))


def test_a_database_without_room_is_full(tracking_uri: str) -> None:
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
