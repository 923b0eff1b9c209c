"""Writes the runs of a study's or a search's trials to MLflow.

A trial's run is found by its key, so a relaunch continues it and makes no second one.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from mixlab.errors import no_room
from mixlab.provenance import Provenance
from mixlab.spec import json_form
from mixlab.spec.epoch import Epoch
from mixlab.spec.search import SearchTrial
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import read_epochs
from mixlab.tracking import artifacts, names
from mixlab.tracking.experiment import end_run, find_or_create, history, is_finished, log
from mixlab.tracking.stored_runs import StoredRun, recorded, search_runs
from mixlab.tracking.writer import Writer, is_outage

DIGITS = 6  # the decimals of a share

Checkpoint = Callable[[], AbstractContextManager[Path]]
Timed = tuple[Epoch, int]  # an epoch, and the time of its report in milliseconds
Points = dict[tuple[str, int], float | None]  # by metric and epoch; None for NaN, which does not equal itself


@dataclass(frozen=True)
class Tracked:
    """A study or a search as MLflow shows it."""

    name: str  # the experiment's
    identity: str  # the plan's
    plan: Mapping[str, Any]  # what the analysis needs
    levels: tuple[str, str, str]  # the names of the three levels of runs
    cells: Mapping[str, str]  # the arm of each cell, by the cell's name

    def tags(self, level: str, name: str, provenance: Provenance) -> dict[str, str]:
        """Return the tags of a run at ``level`` that is called ``name``."""
        return {names.RUN_NAME: name, names.LEVEL: level, names.STUDY: self.name, **provenance.tags}


@dataclass
class TrialRuns:
    """The runs of the trials of one study or search. Reading happens at once; writing is queued."""

    client: MlflowClient
    tracked: Tracked
    provenance: Provenance
    experiment: str  # its id
    parents: Mapping[str, str]  # the run of each cell, by the cell's name, when a trial starts
    writer: Writer
    recorded: dict[str, StoredRun] = field(default_factory=dict, init=False)
    run_ids: dict[str, str] = field(default_factory=dict, init=False)
    # For each trial that is not over, by key: the epochs that are not written yet, in the order of their reports; those
    # of the attempt that goes on, by number; and the points of its run.
    _waiting: dict[str, list[Timed]] = field(default_factory=dict, init=False)
    _attempts: dict[str, dict[int, Timed]] = field(default_factory=dict, init=False)
    _points: dict[str, Points] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.read()

    def read(self) -> None:
        """Read which trials have a run, since other drivers may begin some; raise ``BadInput`` if MLflow is away."""
        self.recorded = recorded(self.client, self.tracked.name, self.tracked.levels[2])
        for key, found in self.recorded.items():
            self.run_ids.setdefault(key, found.run_id)

    def start(self, trial: Trial) -> None:
        """Start or continue a trial: its run becomes RUNNING, with every configuration value."""
        self.writer.put(lambda: self._start(trial, self.run_ids.get(trial.key)))

    def _start(self, trial: Trial, known: str | None) -> None:
        tags = {
            **self.tracked.tags(self.tracked.levels[2], trial.name, self.provenance),
            names.KEY: trial.key,
            names.ARM: trial.arm,
            names.SEED: str(trial.seed),
            names.STATE: State.RUNNING.value,
            names.PARENT: self.parents[trial.cell],
        }
        if isinstance(trial, SearchTrial):
            tags[names.TRIAL] = str(trial.number)
        if known is not None:
            tags[names.ERROR] = ""  # clears that of an earlier attempt
        run_id, params = find_or_create(self.client, self.experiment, tags, known)
        self.run_ids[trial.key] = run_id
        if params is None:
            self._points[trial.key] = {}
        config = {"seed": trial.seed, **trial.config}  # a trainable may have a key of that name; ours is a tag too
        # MLflow changes no parameter: a run keeps the path of a file that was moved since, and 0 where it is 0.0 now.
        log(self.client, run_id, params={key: str(value) for key, value in config.items() if key not in (params or ())})
        artifacts.put_text(self.client, run_id, json_form.dumps(config, indent=2), names.CONFIG_FILE)

    def epochs(self, trial: Trial, epochs: Sequence[Epoch]) -> None:
        """Write the metrics of finished epochs that the run lacks: after a crash an epoch may run twice.

        If its second numbers differ, the run is deleted, and a new one gets every epoch of the attempt that goes on:
        MLflow cannot replace a number in a curve. Epochs that wait while MLflow is slow are written together.
        """
        now = int(time.time() * 1000)  # the same when a write is repeated: MLflow takes a point once
        self._waiting.setdefault(trial.key, []).extend((epoch, now) for epoch in epochs)
        self.writer.put(partial(self._log_waiting, trial))

    def _log_waiting(self, trial: Trial) -> None:
        waiting = list(self._waiting[trial.key])
        if not waiting:  # there were none, or an earlier write took them
            return
        over = True
        try:
            self._log_epochs(trial, waiting)
        except Exception as error:
            over = not is_outage(error)  # in an outage the writer repeats it
            raise
        finally:
            if over:
                del self._waiting[trial.key][: len(waiting)]

    def _log_epochs(self, trial: Trial, waiting: Sequence[Timed]) -> None:
        key = trial.key
        latest, _ = waiting[-1]
        new = {epoch.number: (epoch, at) for epoch, at in waiting if epoch.number <= latest.number}
        attempt = self._attempts.setdefault(key, {})
        attempt |= new
        if key not in self._points:
            run = self.client.get_run(self.run_ids[key])
            self._points[key] = _points_of(history(self.client, run.info.run_id, run.data.metrics))
        points = _points_of(_metrics(new.values()))
        if any(self._points[key].get(point, value) != value for point, value in points.items()):
            if is_finished(self.client, self.run_ids[key]):
                return  # another start, of other arms, has done it: its numbers stay
            if self.client.get_run(self.run_ids[key]).info.lifecycle_stage == "active":  # no repeated write
                self.client.delete_run(self.run_ids[key])
            self._start(trial, known=None)
            self._points[key] = {}
        if not self._points[key]:
            new = {number: each for number, each in attempt.items() if number <= latest.number}
        known = self._points[key]
        missing = [point for point in _metrics(new.values()) if (point.key, point.step) not in known]
        words = {names.WORD + name: word for name, word in latest.words.items()}
        log(self.client, self.run_ids[key], missing, tags=words)
        known |= _points_of(missing)

    def end(
        self, trial: Trial, state: State, error: str = "", traceback: str = "", checkpoint: Checkpoint | None = None
    ) -> None:
        """End the run of a trial, for good or until the next start.

        One that failed has an ``error``, which is one line of its ``traceback``. The ``checkpoint`` opens a folder with
        the files of its last epoch when it is time to write them.
        """

        def write() -> None:
            run_id = self.run_ids[trial.key]
            if not is_finished(self.client, run_id):  # by another start, of other arms: its files stay, too
                self._end(run_id, state, error, traceback, checkpoint)
            self._attempts.pop(trial.key, None)
            self._points.pop(trial.key, None)

        self.writer.put(write)

    def _end(self, run_id: str, state: State, error: str, traceback: str, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            try:
                self._log_files(run_id, checkpoint)
            except OSError as full:
                if no_room(full):  # until there is room, the run is not done
                    end_run(self.client, run_id, State.INTERRUPTED)
                raise
        if traceback:
            artifacts.put_text(self.client, run_id, traceback, names.TRACEBACK_FILE)
        end_run(self.client, run_id, state, error)

    def _log_files(self, run_id: str, checkpoint: Checkpoint) -> None:
        with checkpoint() as folder:
            for pattern in names.KEPT_FILES:
                for file in sorted(folder.glob(pattern)):
                    artifacts.put(self.client, run_id, file)
            found = histograms_of(read_epochs(folder))
        if found:
            artifacts.put_text(self.client, run_id, json_form.dumps(found), names.HISTOGRAMS_FILE)

    def mark_best(self, keys: set[str]) -> None:
        """Tag the best trial of each arm of a search, and no other."""

        def write() -> None:
            for run in search_runs(self.client, self.experiment, {names.BEST: "true"}):
                ours = run.tags.get(names.PARENT) in self.parents.values()
                if ours and run.tags.get(names.KEY) not in keys:
                    self.client.set_tag(run.run_id, names.BEST, "false")
            for key in keys & self.run_ids.keys():
                self.client.set_tag(self.run_ids[key], names.BEST, "true")

        self.writer.put(write)


def _metrics(epochs: Iterable[Timed]) -> list[Metric]:
    return [Metric(name, value, at, epoch.number) for epoch, at in epochs for name, value in epoch.metrics.items()]


def _points_of(metrics: Iterable[Metric]) -> Points:
    """Return metrics as MLflow's database keeps them, for which the largest float stands for infinity."""
    most = sys.float_info.max
    return {
        (each.key, each.step): None if math.isnan(each.value) else max(-most, min(each.value, most)) for each in metrics
    }


def histograms_of(epochs: Sequence[Epoch]) -> dict[str, list[Any]]:
    """Return the content of ``histograms.json``: the histograms reported last, of every epoch that has all of them.

    It is empty if no epoch has any, and apart from the curves: MLflow's UI would draw a chart of every single bin.
    """
    shown = next((epoch.histograms.keys() for epoch in reversed(epochs) if epoch.histograms), None)
    if shown is None:
        return {}
    those = [epoch for epoch in epochs if shown <= epoch.histograms.keys()]
    return {"epochs": [epoch.number for epoch in those]} | {
        name: [[round(share, DIGITS) for share in epoch.histograms[name]] for epoch in those] for name in sorted(shown)
    }
