"""Finds experiments and runs in an MLflow store, for the driver that goes on with them and the analysis."""

import gc
import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput, first_line, hint
from mixlab.passwords import shown
from mixlab.spec.trial import State
from mixlab.tracking import names
from mixlab.tracking.mlflow_private import runs_in_database
from mixlab.tracking.store import by_server, patiently, reading

RUNS_PER_PAGE = 5000
OF_A_SERVER = "mlflow-artifacts:"  # the beginning of a place that only MLflow's server can read
PLAIN = re.compile(r"[^'\"\\\n]*")  # the text that MLflow's filter language can hold between quotes
# MLflow keeps an infinite value in an SQL database as the greatest of all floats, which no sum may take for a number.
INFINITE = {sys.float_info.max: math.inf, -sys.float_info.max: -math.inf}


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
