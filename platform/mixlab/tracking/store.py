"""Opens an MLflow store and finds runs in it, for the driver that writes them and the analysis that reads them."""

import gc
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch
from urllib.parse import urlsplit

from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests.utils import get_environ_proxies, select_proxy

from mixlab.databases import connections, only_maker, with_tables
from mixlab.errors import BadInput, first_line, hint, root_cause
from mixlab.processes import in_background
from mixlab.spec.trial import State
from mixlab.tracking import names
from mixlab.tracking.mlflow_private import limit_attempts, make_database, runs_in_database
from mixlab.uris import DATABASE, require_uri, require_writable, shown, sqlite_file

ANSWER_SECONDS = 20.0
TABLES_SECONDS = 120.0  # for a new database, whose tables take seconds, and which another start may be making
PAUSES = (0.5, 2.0)  # seconds before a request is repeated after its connection was dropped
REPEATS = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"  # MLflow reads it for each request
RUNS_PER_PAGE = 5000
OF_A_SERVER = "mlflow-artifacts:"  # the beginning of a place that only MLflow's server can read
PLAIN = re.compile(r"[^'\"\\\n]*")  # the text that MLflow's filter language can hold between quotes
# MLflow keeps an infinite value in an SQL database as the greatest of all floats, which no sum may take for a number.
INFINITE = {sys.float_info.max: math.inf, -sys.float_info.max: -math.inf}

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class StoredRun:
    """A run as MLflow holds it."""

    run_id: str
    state: State  # running, done, failed or interrupted
    start_time: int  # milliseconds since 1970
    end_time: int | None  # the same; None while it runs
    tags: Mapping[str, str]
    params: Mapping[str, str]  # if they were asked for
    metrics: Mapping[str, float]  # the latest value of each metric

    def __post_init__(self) -> None:
        reported = {name: INFINITE.get(value, value) for name, value in self.metrics.items()}
        object.__setattr__(self, "metrics", reported)


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
    why = shown(root_cause(error))  # any of the stores' own exceptions
    raise BadInput(f"no MLflow store answers at {option} {shown(tracking_uri)!r} ({why}); {way}")


def experiment_named(client: MlflowClient, name: str) -> Experiment | None:
    """Return an experiment; None if there is none.

    Raises:
        BadInput: it is deleted, the store refuses to show it, or the store is the database of a server that keeps the
            experiment's files.
    """
    try:
        experiment = patiently(lambda: client.get_experiment_by_name(name))
    except MlflowException as error:
        place = shown(client.tracking_uri)
        raise BadInput(f"MLflow at {place!r} does not show the experiment {name!r}: {first_line(error)}") from error
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise BadInput(
            f"the MLflow experiment {name!r} is deleted; restore it in the MLflow UI or by "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`"
        )
    if experiment is not None and experiment.artifact_location.startswith(OF_A_SERVER) and not by_server(client):
        raise BadInput(
            f"an MLflow server keeps the files of the experiment {name!r}: give the http:// address of that server, "
            f"not its database {shown(client.tracking_uri)!r}"
        )
    return experiment


def by_server(client: MlflowClient) -> bool:
    """Return whether the store is an MLflow server, and not a database."""
    return str(client.tracking_uri).startswith("http")


def experiment_id(client: MlflowClient, study: str) -> str:
    """Return the id of the experiment of a study; ``BadInput``, which names the nearest, if there is none."""
    experiment = experiment_named(client, study)
    if experiment is not None:
        return str(experiment.experiment_id)
    names = [known.name for known in patiently(client.search_experiments) if known.name != "Default"]
    raise BadInput(f"MLflow holds no study {study!r}; {hint(study, names)}")


def recorded(client: MlflowClient | None, study: str, level: str = "seed") -> dict[str, StoredRun]:
    """Return the run of each trial in a study's experiment, by key: the latest, or the latest finished one if any is.

    Raise as ``reading`` does.
    """
    if client is None or (experiment := experiment_named(client, study)) is None:
        return {}
    with reading(client):
        runs = search_runs(client, experiment.experiment_id, {names.LEVEL: level}, params=False)
    runs.sort(key=lambda run: run.state is not State.DONE)
    return {run.tags[names.KEY]: run for run in reversed(runs) if names.KEY in run.tags}  # MLflow's UI can delete a tag


def existing(tracking_uri: str) -> MlflowClient | None:
    """Return a client of a store, as ``connect`` does; None if it is a database that is not there."""
    file = sqlite_file(tracking_uri)
    return connect(tracking_uri, make=False) if file is None or os.path.exists(file) else None


def finished(runs: Mapping[str, StoredRun]) -> set[str]:
    """Return the keys of the trials that have run to their end."""
    return {key for key, run in runs.items() if run.state is State.DONE}


def search_runs(
    client: MlflowClient, experiment: str, tags: Mapping[str, str], *, params: bool = True
) -> list[StoredRun]:
    """Return every run of an experiment that has all of ``tags``, the latest first.

    Args:
        client: the client of the store.
        experiment: the id of the experiment.
        tags: the tags and their values, and last the one that fewest runs have: a database is asked for that alone.
        params: whether the parameters are needed, which are most of what a run has.
    """
    found = patiently(lambda: runs_in_database(client, experiment, tags, params=params))
    runs = _ask_server(client, experiment, tags) if found is None else [StoredRun(*values) for values in found]
    return [run for run in runs if all(run.tags.get(name) == value for name, value in tags.items())]


def _ask_server(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> list[StoredRun]:
    """Return the runs, and others where a tag has a quote, which MLflow's filter language cannot escape."""
    condition = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items() if PLAIN.fullmatch(value))
    runs: list[StoredRun] = []
    token = None
    while True:
        with _collector_paused():
            ask = partial(client.search_runs, [experiment], condition, max_results=RUNS_PER_PAGE, page_token=token)
            page = patiently(ask)
        for run in page:
            info, data = run.info, run.data
            identity = info.run_id, names.STATES[info.status], info.start_time, info.end_time
            runs.append(StoredRun(*identity, data.tags, data.params, data.metrics))
        if not (token := page.token):
            return runs


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
        reason = shown(root_cause(error))
        raise BadInput(f"MLflow at {shown(client.tracking_uri)!r} cannot be read: {reason}") from error


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector, which takes more than half of the time in which MLflow builds a page of runs."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
