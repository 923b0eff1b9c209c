"""Writes a study to MLflow, study > arm > seed, and a search, search > arm > trial. The only file that does.

Runs are found by their key, so a relaunch goes on with the runs that are there and doubles none; nor does a write
that is repeated because its answer was lost. Everything is written by one thread, in order, from a queue: training
never waits for the server, and while the server is away the queue keeps what is to be written. What a dead driver
could not write is in the journal, and is written at the next start.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput
from mixlab.provenance import Provenance
from mixlab.spec.study import HOW, NOT_METRICS, Study, Trial
from mixlab.storage.journal import read_epochs
from mixlab.tracking import histograms, views
from mixlab.tracking.names import PREDICTIONS_FILE
from mixlab.tracking.store import Recorded, recorded, search_runs
from mixlab.tracking.writer import Writer
from mixlab.uris import shown

DRAIN_SECONDS = 60.0
BATCH = 1000  # the most metrics that MLflow takes at once


class Tracker:
    """One study or search in MLflow. Reading happens at once, at the start; writing is queued.

    Args:
        client: of the store.
        study: what is run.
        plan: what the analysis needs to know of it.
        provenance: of the code.
        levels: what the runs of the three levels are called.
    """

    def __init__(
        self,
        client: MlflowClient,
        study: Study,
        plan: Mapping[str, Any],
        provenance: Provenance,
        levels: tuple[str, str, str] = ("study", "arm", "seed"),
    ) -> None:
        self.levels = levels
        self.client = client
        self.study = study
        self.plan = plan
        self.provenance = provenance
        self.experiment_id = self._experiment(client.tracking_uri)
        self.recorded: dict[str, Recorded] = {}
        self.run_ids: dict[str, str] = {}
        self._last_epochs: dict[str, int] = {}  # by key, of its run
        self._read()
        self.study_run = ""
        self.arm_runs: dict[str, str] = {}
        self._writer = Writer()

    # Reading

    def refresh(self) -> bool:
        """Read again which trials have a run, as other drivers of a search may begin some. False if MLflow is away."""
        try:
            self._read()
        except MlflowException:
            return False
        return True

    def _read(self) -> None:
        self.recorded = recorded(self.client, self.study.name, self.levels[2])
        for key, found in self.recorded.items():
            self.run_ids.setdefault(key, found.run_id)

    # Writing

    def open(self, cells: Mapping[str, str]) -> None:
        """Create or find the study's run and one run a cell, and put the plan there. Waits for the store.

        Args:
            cells: by name, the arm.

        Raises:
            BadInput: the store does not take it.
        """
        self._writer.put(partial(self._open, cells))
        if not self.drain() or self.refused:
            reason = self.refused[0] if self.refused else f"it does not answer within {DRAIN_SECONDS:.0f} s"
            raise BadInput(f"cannot write to MLflow at {shown(self.client.tracking_uri)!r}: {reason}")

    def _open(self, cells: Mapping[str, str]) -> None:
        root, middle, _ = self.levels
        tags = {
            **self._level(root, f"{self.study.name} · {self.plan['preset']}"),
            "mixlab.plan": self.study.identity,
            **self.provenance.details,
        }
        self.study_run = self._find_or_create(("mixlab.level", "mixlab.plan"), tags)
        self.client.log_dict(self.study_run, dict(self.plan), "plan.json")
        if self.provenance.diff:
            self.client.log_text(self.study_run, self.provenance.diff, "uncommitted.patch")
        for cell, arm in cells.items():
            tags = {
                **self._level(middle, cell),
                "mixlab.plan": self.study.identity,
                "mixlab.arm": arm,
                "mixlab.cell": cell,
                "mlflow.parentRunId": self.study_run,
            }
            self.arm_runs[cell] = self._find_or_create(("mixlab.level", "mixlab.cell", "mixlab.plan"), tags)
        self._offer_views()

    def start(self, trial: Trial) -> None:
        """A trial starts, or goes on: its run is RUNNING, with every configuration value."""

        def write() -> None:
            tags = {
                **self._level(self.levels[2], trial.name),
                **trial.tags,
                "mlflow.parentRunId": self.arm_runs[trial.cell],
            }
            if trial.key in self.run_ids:
                tags["mixlab.error"] = ""  # of an earlier attempt
            known = self.run_ids.get(trial.key)
            run_id = self.run_ids[trial.key] = self._find_or_create(("mixlab.level", "mixlab.key"), tags, known)
            params = [Param(key, str(value)) for key, value in trial.config.items()]
            self.client.log_batch(run_id, params=[*params, Param("seed", str(trial.seed))])
            self.client.log_dict(run_id, {**trial.config, "seed": trial.seed}, "config.json")

        self._writer.put(write)

    def epochs(self, trial: Trial, epochs: Sequence[Mapping[str, Any]]) -> None:
        """Metrics of finished epochs, one mapping each, the step being its ``epoch``; those that the run has are left
        out: after a crash an epoch may run twice."""
        now = int(time.time() * 1000)  # of a write that is repeated too: MLflow takes the very same point once
        latest = epochs[-1] if epochs else {}
        tags = _tags({f"mixlab.{name}": str(latest[name]) for name in HOW if name in latest})
        at_once = max(1, BATCH // max((len(epoch) for epoch in epochs), default=1))
        for first in range(0, len(epochs), at_once):
            self._writer.put(partial(self._log_epochs, trial.key, epochs[first : first + at_once], now, tags))

    def _log_epochs(self, key: str, epochs: Sequence[Mapping[str, Any]], now: int, tags: list[RunTag]) -> None:
        run_id = self.run_ids[key]
        if key not in self._last_epochs:
            history = self.client.get_metric_history(run_id, "train_loss")
            self._last_epochs[key] = max((metric.step for metric in history), default=0)
        metrics = [
            Metric(name, float(value), now, int(epoch["epoch"]))
            for epoch in epochs
            if epoch["epoch"] > self._last_epochs[key]
            for name, value in epoch.items()
            if name not in NOT_METRICS and not histograms.is_bin(name)
        ]
        if metrics:
            self.client.log_batch(run_id, metrics, tags=tags)
            self._last_epochs[key] = max(metric.step for metric in metrics)

    def finish(self, trial: Trial, checkpoint: Callable[[], AbstractContextManager[Path]]) -> None:
        """A trial is done; ``checkpoint`` opens the folder of its last epoch when it is time to write from it."""

        def write() -> None:
            run_id = self.run_ids[trial.key]
            with checkpoint() as folder:
                for file in sorted((*folder.glob("model*.pt"), *folder.glob(PREDICTIONS_FILE))):
                    self.client.log_artifact(run_id, str(file))
                found = histograms.collect(read_epochs(folder))
            if found:
                self.client.log_text(run_id, json.dumps(found), histograms.FILE)
            self.client.set_terminated(run_id, "FINISHED")

        self._writer.put(write)

    def end(self, trial: Trial, tags: Mapping[str, str]) -> None:
        """A trial of a search is over, complete or pruned; ``tags`` say which."""

        def write() -> None:
            self.client.log_batch(self.run_ids[trial.key], tags=_tags(tags))
            self.client.set_terminated(self.run_ids[trial.key], "FINISHED")

        self._writer.put(write)

    def tag(self, key: str, tags: Mapping[str, str]) -> None:
        """Set tags of the run of the trial ``key``, if it has one by then."""

        def write() -> None:
            if key in self.run_ids:
                self.client.log_batch(self.run_ids[key], tags=_tags(tags))

        self._writer.put(write)

    def mark_best(self, keys: set[str]) -> None:
        """Of a search: these trials are the best of their arms, and no others."""

        def write() -> None:
            tagged = search_runs(self.client, self.experiment_id, {"mixlab.best": "true"})
            for run in tagged:
                ours = run.data.tags.get("mlflow.parentRunId") in self.arm_runs.values()
                if ours and run.data.tags.get("mixlab.key") not in keys:
                    self.client.set_tag(run.info.run_id, "mixlab.best", "false")
            for run_id in {self.run_ids[key] for key in keys if key in self.run_ids} - {r.info.run_id for r in tagged}:
                self.client.set_tag(run_id, "mixlab.best", "true")

        self._writer.put(write)

    def fail(self, trial: Trial, error: str, traceback: str) -> None:
        """A trial has failed for good: the first line of its error as a tag, the traceback as an artifact."""

        def write() -> None:
            run_id = self.run_ids[trial.key]
            self.client.set_tag(run_id, "mixlab.error", error[:500])
            self.client.log_text(run_id, traceback, "traceback.txt")
            self.client.set_terminated(run_id, "FAILED")

        self._writer.put(write)

    def stop(self, trials: Iterable[Trial]) -> None:
        """Trials that were interrupted: their runs are KILLED until the next start goes on with them."""
        for trial in trials:
            self._writer.put(partial(self._terminate_trial, trial.key, "KILLED"))

    def close(self, status: str, statuses: Mapping[str, str]) -> None:
        """End the study's run and the arms' runs.

        Args:
            status: of the study, MLflow's word.
            statuses: of each arm, by cell.
        """
        for cell, run_id in self.arm_runs.items():
            self._writer.put(partial(self.client.set_terminated, run_id, statuses[cell]))
        self._writer.put(partial(self.client.set_terminated, self.study_run, status))

    def attach(self, files: Iterable[Path]) -> None:
        """Put files on the study's run."""

        def write() -> None:
            for file in files:
                self.client.log_artifact(self.study_run, str(file))

        self._writer.put(write)

    def describe(self, metrics: Mapping[str, float], text: str, cell: str | None = None) -> None:
        """Give the study's run, or that of a cell, numbers of its own and the text that the UI shows with them."""
        run_id = self.study_run if cell is None else self.arm_runs[cell]
        now = int(time.time() * 1000)
        numbers = [Metric(name, value, now, 0) for name, value in metrics.items()]
        self._writer.put(partial(self.client.log_batch, run_id, numbers, tags=_tags({"mlflow.note.content": text})))

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Wait until all is written; False if the store takes nothing for ``seconds``."""
        return self._writer.drain(seconds)

    def _terminate_trial(self, key: str, status: str) -> None:
        self.client.set_terminated(self.run_ids[key], status)

    @property
    def refused(self) -> list[str]:
        """What MLflow refused for good, such as a write to a run that somebody deleted meanwhile."""
        return self._writer.refused

    def _offer_views(self) -> None:
        """Tag the experiment with what the UI shows of it; what somebody has changed there stays."""
        tags = self.client.get_experiment(self.experiment_id).tags
        for name, value in views.offered(self.levels, self.plan, self.study.identity).items():
            if name not in tags:
                self.client.set_experiment_tag(self.experiment_id, name, value)

    def _level(self, level: str, name: str) -> dict[str, str]:
        return {
            "mlflow.runName": name,
            "mixlab.level": level,
            "mixlab.study": self.study.name,
            **self.provenance.tags,
        }

    def _find_or_create(self, identity: Sequence[str], tags: dict[str, str], known: str | None = None) -> str:
        """Return the run with ``tags``, a new one where none has the same ``identity``, which names some of them.

        It is looked for even when this process has made none: the answer to its making may have been lost, and
        another driver of a search may have made it.
        """
        wanted = {name: tags[name] for name in identity}
        runs = search_runs(self.client, self.experiment_id, wanted) if known is None else []
        if known is None and not runs:
            return self.client.create_run(self.experiment_id, tags=tags).info.run_id
        run_id = known or runs[0].info.run_id
        self.client.log_batch(run_id, tags=_tags(tags))
        self.client.update_run(run_id, "RUNNING")
        return run_id

    def _experiment(self, tracking_uri: str) -> str:
        experiment = self.client.get_experiment_by_name(self.study.name)
        if experiment is not None:
            if experiment.lifecycle_stage == "deleted":
                raise BadInput(
                    f"the MLflow experiment {self.study.name!r} is deleted; restore it in the MLflow UI or by "
                    f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`"
                )
            return experiment.experiment_id
        # A server stores artifacts itself; beside a file they go to MLflow's usual folder, named absolutely so
        # that they are found from anywhere.
        location = None
        if tracking_uri.startswith("sqlite:///"):
            folder = Path(tracking_uri.removeprefix("sqlite:///")).absolute().parent
            location = (folder / "mlruns" / self.study.name).as_uri()
        return self.client.create_experiment(self.study.name, artifact_location=location)


def _tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(key, value) for key, value in tags.items()]
