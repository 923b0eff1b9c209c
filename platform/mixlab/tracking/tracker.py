"""Writes a study to MLflow, study > arm > seed, and a search, search > arm > trial. No other file does.

Runs are found by their key, so a relaunch continues the existing runs and duplicates none; nor does a write that is
repeated because its answer was lost. One thread writes everything, in order, from a queue: training never waits for
the server, and while the server is away the queue keeps the pending writes. Anything that a dead driver could not
write is in the journal, and is written at the next start.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput
from mixlab.provenance import Provenance
from mixlab.spec.epoch import Epoch
from mixlab.spec.search import SearchTrial
from mixlab.spec.state import State
from mixlab.spec.trial import Trial
from mixlab.storage.journal import read_epochs
from mixlab.tracking import artifacts, histograms, names, views
from mixlab.tracking.experiment import find_or_create, last_epoch, offer, open_experiment, run_tags
from mixlab.tracking.store import Recorded, recorded, search_runs
from mixlab.tracking.writer import Writer
from mixlab.uris import shown

DRAIN_SECONDS = 60.0
BATCH = 1000  # the most metrics that MLflow takes at once
ENDED = {State.DONE: "FINISHED", State.PRUNED: "FINISHED", State.FAILED: "FAILED"}  # in MLflow's words

Checkpoint = Callable[[], AbstractContextManager[Path]]


@dataclass(frozen=True)
class Tracked:
    """The study or search that a tracker writes.

    Args:
        name: the name of the experiment.
        identity: the identity of the plan.
        plan: the information that the analysis needs.
        levels: the names of the three levels of runs.
        cells: the arm of each cell, by the cell's name.
    """

    name: str
    identity: str
    plan: Mapping[str, Any]
    levels: tuple[str, str, str]
    cells: Mapping[str, str]


class Tracker:
    """One study or search in MLflow. Reading happens at once, at the start; writing is queued.

    Args:
        client: the client of the store.
        tracked: the study or search to write.
        provenance: the provenance of the code.
    """

    def __init__(self, client: MlflowClient, tracked: Tracked, provenance: Provenance) -> None:
        self.client = client
        self.tracked = tracked
        self.provenance = provenance
        self.experiment_id = open_experiment(client, tracked.name)
        self.recorded: dict[str, Recorded] = {}
        self.run_ids: dict[str, str] = {}
        self._last_epochs: dict[str, int] = {}  # the last epoch of each run, by key
        self._read()
        self.study_run = ""
        self.arm_runs: dict[str, str] = {}
        self._writer = Writer()

    # Reading

    def refresh(self) -> bool:
        """Read again which trials have a run, since other drivers may begin some; return False if MLflow is away."""
        try:
            self._read()
        except MlflowException:
            return False
        return True

    def _read(self) -> None:
        self.recorded = recorded(self.client, self.tracked.name, self.tracked.levels[2])
        for key, found in self.recorded.items():
            self.run_ids.setdefault(key, found.run_id)

    # Writing

    def open(self) -> None:
        """Create or find the study's run and one run per cell, and put the plan there; wait for the store.

        Raises:
            BadInput: the store does not take it.
        """
        self._writer.put(self._open)
        if not self.drain() or self.refused:
            late = f"it does not answer within {DRAIN_SECONDS:.0f} s"
            reason = self.refused[0] if self.refused else self.outage or late
            raise BadInput(f"cannot write to MLflow at {shown(self.client.tracking_uri)!r}: {reason}")

    def _open(self) -> None:
        root, middle, _ = self.tracked.levels
        tags = {
            **self._level(root, f"{self.tracked.name} · {self.tracked.plan['preset']}"),
            names.PLAN: self.tracked.identity,
            **self.provenance.details,
        }
        self.study_run = self._run((names.LEVEL, names.PLAN), tags)
        artifacts.put_text(self.client, self.study_run, json.dumps(dict(self.tracked.plan), indent=2), names.PLAN_FILE)
        if self.provenance.diff:
            artifacts.put_text(self.client, self.study_run, self.provenance.diff, names.PATCH_FILE)
        for cell, arm in self.tracked.cells.items():
            tags = {
                **self._level(middle, cell),
                names.PLAN: self.tracked.identity,
                names.ARM: arm,
                names.CELL: cell,
                names.PARENT: self.study_run,
            }
            self.arm_runs[cell] = find_or_create(
                self.client, self.experiment_id, (names.LEVEL, names.CELL, names.PLAN), tags
            )
        offered = views.offered(self.tracked.levels, self.tracked.plan, self.tracked.identity)
        offer(self.client, self.experiment_id, offered)

    def start(self, trial: Trial) -> None:
        """Start or continue a trial: its run becomes RUNNING, with every configuration value."""

        def write() -> None:
            tags = {
                **self._level(self.tracked.levels[2], trial.name),
                names.KEY: trial.key,
                names.ARM: trial.arm,
                names.SEED: str(trial.seed),
                names.STATE: State.RUNNING.value,
                names.PARENT: self.arm_runs[trial.cell],
            }
            if isinstance(trial, SearchTrial):
                tags[names.TRIAL] = str(trial.number)
            known = self.run_ids.get(trial.key)
            if known is not None:
                tags[names.ERROR] = ""  # clears that of an earlier attempt
            run_id = self.run_ids[trial.key] = find_or_create(
                self.client, self.experiment_id, (names.LEVEL, names.KEY), tags, known
            )
            params = [Param(key, str(value)) for key, value in trial.config.items()]
            self.client.log_batch(run_id, params=[*params, Param("seed", str(trial.seed))])
            config = json.dumps({**trial.config, "seed": trial.seed}, indent=2)
            artifacts.put_text(self.client, run_id, config, names.CONFIG_FILE)

        self._writer.put(write)

    def epochs(self, trial: Trial, epochs: Sequence[Epoch]) -> None:
        """Write the metrics of finished epochs that the run lacks: after a crash an epoch may run twice."""
        now = int(time.time() * 1000)  # also for a repeated write: MLflow takes the very same point once
        tags = run_tags({names.WORD + name: word for name, word in epochs[-1].words.items()}) if epochs else []
        at_once = max(1, BATCH // max((len(epoch.metrics) for epoch in epochs), default=1))
        for first in range(0, len(epochs), at_once):
            self._writer.put(partial(self._log_epochs, trial.key, epochs[first : first + at_once], now, tags))

    def _log_epochs(self, key: str, epochs: Sequence[Epoch], now: int, tags: list[RunTag]) -> None:
        run_id = self.run_ids[key]
        if key not in self._last_epochs:
            self._last_epochs[key] = last_epoch(self.client, run_id, epochs[0])
        metrics = [
            Metric(name, value, now, epoch.number)
            for epoch in epochs
            if epoch.number > self._last_epochs[key]
            for name, value in epoch.metrics.items()
        ]
        if metrics:
            self.client.log_batch(run_id, metrics, tags=tags)
            self._last_epochs[key] = epochs[-1].number

    def end(
        self,
        trial: Trial,
        state: State,
        error: str = "",
        traceback: str = "",
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """End the run of a trial that is over.

        Args:
            trial: the trial.
            state: done, pruned or failed.
            error: the first line of the error that made it fail; ``traceback`` is all of it.
            traceback: the text that becomes an artifact of the run.
            checkpoint: opens a folder with the files of its last epoch when it is time to write them.
        """

        def write() -> None:
            run_id = self.run_ids[trial.key]
            if checkpoint is not None:
                self._log_files(run_id, checkpoint)
            if traceback:
                artifacts.put_text(self.client, run_id, traceback, names.TRACEBACK_FILE)
            error_tag = {names.ERROR: error[:500]} if error else {}
            self.client.log_batch(run_id, tags=run_tags({names.STATE: state.value, **error_tag}))
            self.client.set_terminated(run_id, ENDED[state])

        self._writer.put(write)

    def _log_files(self, run_id: str, checkpoint: Checkpoint) -> None:
        with checkpoint() as folder:
            for pattern in names.KEPT_FILES:
                for file in sorted(folder.glob(pattern)):
                    artifacts.put(self.client, run_id, file)
            found = histograms.collect(read_epochs(folder))
        if found:
            artifacts.put_text(self.client, run_id, json.dumps(found), names.HISTOGRAMS_FILE)

    def mark_best(self, keys: set[str]) -> None:
        """Tag the best trial of each arm of a search, and no other."""

        def write() -> None:
            tagged = search_runs(self.client, self.experiment_id, {names.BEST: "true"})
            for run in tagged:
                ours = run.data.tags.get(names.PARENT) in self.arm_runs.values()
                if ours and run.data.tags.get(names.KEY) not in keys:
                    self.client.set_tag(run.info.run_id, names.BEST, "false")
            for run_id in {self.run_ids[key] for key in keys if key in self.run_ids} - {r.info.run_id for r in tagged}:
                self.client.set_tag(run_id, names.BEST, "true")

        self._writer.put(write)

    def stop(self, trials: Iterable[Trial]) -> None:
        """Mark the runs of interrupted trials as KILLED, until the next start continues them."""

        def write(key: str) -> None:
            self.client.log_batch(self.run_ids[key], tags=run_tags({names.STATE: State.INTERRUPTED.value}))
            self.client.set_terminated(self.run_ids[key], "KILLED")

        for trial in trials:
            self._writer.put(partial(write, trial.key))

    def close(self, status: str, statuses: Mapping[str, str]) -> None:
        """End the study's run and the arms' runs.

        Args:
            status: the status of the study, in MLflow's word.
            statuses: the status of each arm, by cell.
        """
        for cell, run_id in self.arm_runs.items():
            self._writer.put(partial(self.client.set_terminated, run_id, statuses[cell]))
        self._writer.put(partial(self.client.set_terminated, self.study_run, status))

    def attach(self, files: Iterable[Path]) -> None:
        """Put files on the study's run."""

        def write() -> None:
            for file in files:
                artifacts.put(self.client, self.study_run, file)

        self._writer.put(write)

    def describe(self, metrics: Mapping[str, float], text: str, cell: str | None = None) -> None:
        """Add numbers, and the text that the UI shows with them, to the study's run or to that of a cell."""
        run_id = self.study_run if cell is None else self.arm_runs[cell]
        now = int(time.time() * 1000)
        numbers = [Metric(name, value, now, 0) for name, value in metrics.items()]
        self._writer.put(partial(self.client.log_batch, run_id, numbers, tags=run_tags({names.NOTE: text})))

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Wait until everything is written; return False if the store takes nothing for ``seconds``."""
        return self._writer.drain(seconds)

    @property
    def refused(self) -> list[str]:
        """Return the writes that MLflow refused for good, such as one to a run that was deleted meanwhile."""
        return self._writer.refused

    @property
    def outage(self) -> str:
        """Return why MLflow does not take writes now; empty if it does."""
        return self._writer.outage

    def _level(self, level: str, name: str) -> dict[str, str]:
        return {
            names.RUN_NAME: name,
            names.LEVEL: level,
            names.STUDY: self.tracked.name,
            **self.provenance.tags,
        }

    def _run(self, identity: Sequence[str], tags: Mapping[str, str], known: str | None = None) -> str:
        return find_or_create(self.client, self.experiment_id, identity, tags, known)
