"""Finds an experiment of MLflow and the runs in it, and creates what is not there yet."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput, first_line
from mixlab.spec.trial import State
from mixlab.tracking import artifacts, names, store
from mixlab.tracking.stored_runs import StoredRun, experiment_named, search_runs
from mixlab.uris import sqlite_file

METRICS_AT_ONCE = 800  # MLflow takes 1000 entries in one request
WORDS_AT_ONCE = 100  # at most 100 parameters and 100 tags in one request


def open_experiment(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment ``name``, created if it is not there; ``BadInput`` if it cannot be used."""
    experiment = experiment_named(client, name)
    if experiment is None:
        try:
            # Next to a file it is MLflow's usual folder, by an absolute path, so that they are found from anywhere.
            file = sqlite_file(client.tracking_uri)
            location = None if file is None else (file.absolute().parent / "mlruns" / name).as_uri()
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            experiment = experiment_named(client, name)  # another driver that started at the same time made it
            if experiment is None:
                raise BadInput(f"MLflow does not make the experiment {name!r}: {first_line(error)}") from error
    return str(experiment.experiment_id)


def offer(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> None:
    """Tag an experiment; a tag that is there already, which somebody may have changed, stays."""
    known = client.get_experiment(experiment).tags
    for name, value in tags.items():
        if name not in known:
            try:
                client.set_experiment_tag(experiment, name, value)
            except MlflowException:
                if name not in client.get_experiment(experiment).tags:  # where a start of another plan has just set it
                    raise


@dataclass
class TagBoard:
    """Implements ``processes.Board`` by a tag of an experiment."""

    client: MlflowClient
    experiment: str  # its id
    name: str

    def read(self) -> str:
        """See ``Board``."""
        return str(self.client.get_experiment(self.experiment).tags.get(self.name, ""))

    def write(self, text: str) -> None:
        """See ``Board``."""
        if text:
            self.client.set_experiment_tag(self.experiment, self.name, text)
        else:
            self.client.delete_experiment_tag(self.experiment, self.name)


def find_or_create(
    client: MlflowClient, experiment: str, tags: Mapping[str, str], known: str | None = None
) -> tuple[str, Mapping[str, str] | None]:
    """Return the id of the run with ``tags``, which runs from now on, and its parameters; None for those of a new one.

    Unless its id is ``known``, it is looked for by those of its tags that no other run of its level has, even if this
    process has not created it: the answer to its creation may have been lost, and another driver of a search may have
    created it. A seed's run that another start, of other arms, has finished meanwhile is left as it is.
    """
    if known is None:
        wanted = {name: tags[name] for name in names.IDENTITY[tags[names.LEVEL]]}
        runs = search_runs(client, experiment, wanted)
        if not runs:
            created = client.create_run(experiment, tags=dict(tags)).info
            artifacts.remember(client, created)
            return str(created.run_id), None
        known, done, params = runs[0].run_id, runs[0].state is State.DONE, runs[0].params
    else:
        run = client.get_run(known)
        done, params = run.info.status == names.STATUS[State.DONE], run.data.params
    if tags[names.LEVEL] != "seed" or not done:
        log(client, known, tags=tags)
        client.update_run(known, "RUNNING")
    return known, params


def is_finished(client: MlflowClient, run_id: str) -> bool:
    """Return whether a run has ended as done."""
    return bool(client.get_run(run_id).info.status == names.STATUS[State.DONE])


def end_run(client: MlflowClient, run_id: str, state: State, error: str = "") -> None:
    """End the run of a trial in a state, for good or until the next start."""
    log(client, run_id, tags={names.STATE: state.value, **({names.ERROR: error} if error else {})})
    client.set_terminated(run_id, names.STATUS[state])


def interrupt_plans(
    client: MlflowClient, name: str, levels: tuple[str, str, str], is_abandoned: Callable[[str, StoredRun], bool]
) -> None:
    """End the runs of those plans of an experiment whose starts were killed, as if they had been interrupted.

    ``is_abandoned`` tells by the experiment's id and a plan's own run whether nobody writes its runs, for certain.
    """
    known = experiment_named(client, name)
    if known is None:
        return
    experiment = known.experiment_id
    with store.reading(client):
        for run in search_runs(client, experiment, {names.LEVEL: levels[0]}, params=False):
            if run.state is State.RUNNING and is_abandoned(experiment, run):
                store.patiently(partial(_interrupt, client, experiment, run.tags.get(names.PLAN, ""), levels))


def _interrupt(client: MlflowClient, experiment: str, plan: str, levels: tuple[str, str, str]) -> None:
    """End the runs of a plan; a part that was ended before stays as it is."""

    def runs_of(level: str, tag: str, value: str) -> list[StoredRun]:
        return search_runs(client, experiment, {names.LEVEL: level, tag: value}, params=False)

    root, middle, leaf = levels
    arms = runs_of(middle, names.PLAN, plan)
    for trial in [run for arm in arms for run in runs_of(leaf, names.PARENT, arm.run_id)]:
        if trial.state is State.RUNNING:
            end_run(client, trial.run_id, State.INTERRUPTED)
    for run in [*arms, *runs_of(root, names.PLAN, plan)]:
        if run.state is State.RUNNING:
            client.set_terminated(run.run_id, names.STATUS[State.INTERRUPTED])


def history(client: MlflowClient, run_id: str, metrics: Iterable[str]) -> list[Metric]:
    """Return every point of these metrics of a run."""
    return [point for name in metrics for point in client.get_metric_history(run_id, name)]


def log(
    client: MlflowClient,
    run_id: str,
    metrics: Sequence[Metric] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Add metrics, parameters and tags to a run, in as many requests as MLflow's limits ask for."""
    words = [Param(*entry) for entry in (params or {}).items()], [RunTag(*entry) for entry in (tags or {}).items()]
    rest = (_batches(entries, WORDS_AT_ONCE) for entries in words)
    for some in zip_longest(_batches(metrics, METRICS_AT_ONCE), *rest, fillvalue=()):
        client.log_batch(run_id, *some)


def _batches(entries: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (entries[first : first + size] for first in range(0, len(entries), size))
