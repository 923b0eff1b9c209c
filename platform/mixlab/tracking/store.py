"""Opens an MLflow store, and asks it patiently, for the driver that writes and the analysis that reads."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests.utils import get_environ_proxies, select_proxy

from mixlab.databases import connections, only_maker, with_tables
from mixlab.errors import BadInput, root_cause
from mixlab.passwords import shown
from mixlab.processes import in_background
from mixlab.tracking.mlflow_private import limit_attempts, make_database
from mixlab.uris import DATABASE, require_uri, require_writable, sqlite_file

ANSWER_SECONDS = 20.0
TABLES_SECONDS = 120.0  # for a new database, whose tables take seconds, and which another start may be making
PAUSES = (0.5, 2.0)  # seconds before a request is repeated after its connection was dropped
REPEATS = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"  # MLflow reads it for each request

Answer = TypeVar("Answer")


def connect(tracking_uri: str, *, make: bool = True, option: str = "--tracking-uri") -> MlflowClient:
    """Return a client of a store that has answered.

    Args:
        tracking_uri: ``sqlite:///FILE``, another database's URI, or the ``http://`` address of a server.
        make: create an SQLite file that does not exist; MLflow itself would always create one.
        option: the option that names it.

    Raises:
        BadInput: nobody answers, the file is not a database, or it does not exist and must not be created.
    """
    file = sqlite_file(tracking_uri)
    require_uri(tracking_uri, option)
    if file is not None and not make and not os.path.isfile(file):
        raise BadInput(f"no MLflow database at {str(file)!r}: run the study first, or name another with --tracking-uri")
    if file is not None and make:
        require_writable(file, option)
    seconds = ANSWER_SECONDS if file is None else TABLES_SECONDS

    def answering() -> MlflowClient:
        client = MlflowClient(tracking_uri)
        client.search_experiments(max_results=1)
        return client

    def ask() -> MlflowClient:
        if not tracking_uri.startswith("http"):
            limit_attempts()
        with only_maker(file if make else None, TABLES_SECONDS):
            if file is not None and not os.path.exists(file):
                make_database(Path(os.path.realpath(file)))  # a link may lead elsewhere
            return with_tables(answering)

    asking: Future[MlflowClient] = Future()
    # MLflow would ask a server whose database is away again and again for minutes.
    with patch.dict(os.environ, {REPEATS: os.environ.get(REPEATS, "1")}), connections() as taken:
        in_background(ask, asking, "store")  # a host that swallows packets would hold the main thread for minutes
        wait([asking], seconds)
        late = f"it did not answer within {seconds:.0f} s"
        if file is None and taken.is_set():
            wait([asking], TABLES_SECONDS)
            late = f"it took a connection, but was not ready within {TABLES_SECONDS:.0f} s"
            late += "; if it was new, make it anew: some of its tables may be missing"
    error = asking.exception() if asking.done() else TimeoutError(late)
    if error is None:
        return asking.result()
    way = f"give sqlite:///FILE, the http:// address of a running server, or {DATABASE}"
    if file is not None:  # first what keeps the finished runs, as where another program holds the database
        way = "put that right, or give another file, in a folder of this machine that can be written"
    proxy = select_proxy(tracking_uri, get_environ_proxies(tracking_uri)) if tracking_uri.startswith("http") else None
    if proxy:
        host = urlsplit(tracking_uri).hostname
        way = f"{shown(proxy)!r}, the proxy of this environment, was asked: if {host} needs none, name it in NO_PROXY"
    why = root_cause(error)  # any of the stores' own exceptions
    raise BadInput(f"no MLflow store answers at {option} {shown(tracking_uri)!r} ({why}); {way}")


def existing(tracking_uri: str) -> MlflowClient | None:
    """Return a client of a store, as ``connect`` does; None if it is a database that is not there."""
    file = sqlite_file(tracking_uri)
    return connect(tracking_uri, make=False) if file is None or os.path.exists(file) else None


def by_server(client: MlflowClient) -> bool:
    """Return whether the store is an MLflow server, and not a database."""
    return str(client.tracking_uri).startswith("http")


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Return the answer of a store, which is asked again if the connection was dropped.

    MLflow gives no code to an error of the connection, but one to any refusal by the store itself.
    """
    for pause in PAUSES:
        try:
            return ask()
        except (MlflowException, OSError) as error:
            if getattr(error, "error_code", "INTERNAL_ERROR") not in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"):
                raise
            time.sleep(pause)
    return ask()


@contextmanager
def reading(client: MlflowClient) -> Iterator[None]:
    """Raise ``BadInput`` where the store, which has answered, refuses a request inside the block or is gone."""
    try:
        yield
    except (MlflowException, OSError) as error:
        reason = root_cause(error)
        raise BadInput(f"MLflow at {shown(client.tracking_uri)!r} cannot be read: {reason}") from error
