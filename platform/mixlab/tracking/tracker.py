"""Writes a study to MLflow, study > arm > seed, and a search, search > arm > trial.

Runs are found by what identifies them, so a relaunch continues the existing runs and duplicates none; nor does a write
that is repeated because its answer was lost. One thread writes everything, in order, from a queue: training never waits
for the server, and while the server is away the queue keeps the pending writes. Anything that a dead driver could not
write is in the journal, and is written at the next start.
"""

import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput
from mixlab.passwords import shown
from mixlab.provenance import Provenance, command
from mixlab.spec import json_form
from mixlab.spec.trial import State, cell_name
from mixlab.tracking import artifacts, names, views
from mixlab.tracking.experiment import find_or_create, history, log, offer, open_experiment
from mixlab.tracking.stored_runs import search_runs
from mixlab.tracking.trial_runs import Tracked, TrialRuns
from mixlab.tracking.writer import Writer

DRAIN_SECONDS = 60.0


class Tracker:
    """One study or search in MLflow: its run, the runs of its cells, and those of its ``trials``. Writing is queued."""

    def __init__(self, client: MlflowClient, tracked: Tracked, provenance: Provenance) -> None:
        self.client = client
        self.tracked = tracked
        self.provenance = provenance
        self.experiment_id = open_experiment(client, tracked.name)
        self.study_run = ""
        self.arm_runs: dict[str, str] = {}
        self.writer = Writer()
        self._returned = 0  # refused writes, by ``newly_refused``
        self.trials = TrialRuns(client, tracked, provenance, self.experiment_id, self.arm_runs, self.writer)

    def open(self) -> None:
        """Create or find the runs of the study and its cells, and put the plan there; ``BadInput`` if that fails."""
        self.writer.put(self._open)
        try:
            drained = self.writer.drain(DRAIN_SECONDS)
        except KeyboardInterrupt:  # as when the plan, which has just been shown, is not what was meant
            self.close(State.INTERRUPTED, dict.fromkeys(self.tracked.cells, State.INTERRUPTED))
            self.writer.drain(DRAIN_SECONDS)
            raise
        if not drained or self.writer.refused:
            self.writer.abandoned = True
            late = f"it does not answer within {DRAIN_SECONDS:.0f} s"
            reason = self.writer.refused[0] if self.writer.refused else self.writer.outage or late
            raise BadInput(f"cannot write to MLflow at {shown(self.client.tracking_uri)!r}: {reason}")
        if "trials" in self.tracked.plan:  # a search has none
            self.writer.put(self._adopt)

    def _open(self) -> None:
        root, middle, _ = self.tracked.levels
        tags = {
            **self.tracked.tags(root, f"{self.tracked.name} · {self.tracked.plan['preset']}", self.provenance),
            names.PLAN: self.tracked.identity,
            names.COMMAND: command(),
        }
        self.study_run, _ = find_or_create(self.client, self.experiment_id, tags)
        plan = json_form.dumps(dict(self.tracked.plan), indent=2)
        artifacts.put_text(self.client, self.study_run, plan, names.PLAN_FILE)
        if self.provenance.diff:
            file = names.PATCH_FILE.format(self.provenance.patch)
            artifacts.put_text(self.client, self.study_run, self.provenance.diff, file)
        for cell, arm in self.tracked.cells.items():
            tags = {
                **self.tracked.tags(middle, cell, self.provenance),
                names.PLAN: self.tracked.identity,
                names.ARM: arm,
                names.CELL: cell,
                names.PARENT: self.study_run,
            }
            self.arm_runs[cell], _ = find_or_create(self.client, self.experiment_id, tags)
        offered = views.offered(self.tracked.levels, self.tracked.plan, self.tracked.identity)
        offer(self.client, self.experiment_id, offered)

    def _adopt(self) -> None:
        """Put the runs of seeds whose arm's run was deleted, as in MLflow's UI, below the run that the arm has now."""
        level = {names.LEVEL: self.tracked.levels[1]}
        there = {run.run_id for run in search_runs(self.client, self.experiment_id, level, params=False)}
        for trial in self.tracked.plan["trials"]:
            run = self.trials.recorded.get(trial["key"])
            if run is not None and run.tags.get(names.PARENT) not in there:
                arm = self.arm_runs[cell_name(trial["levels"].values(), trial["arm"])]
                self.writer.put(partial(self.client.set_tag, run.run_id, names.PARENT, arm))

    def close(self, state: State, states: Mapping[str, State]) -> None:
        """End the study's run in a state, and the runs of the arms in theirs, by cell."""

        def end(cell: str) -> None:
            self.client.set_terminated(self.arm_runs[cell], names.STATUS[states[cell]])

        for cell in states:  # its run may be made just now
            self.writer.put(partial(end, cell))
        self.writer.put(lambda: self.client.set_terminated(self.study_run, names.STATUS[state]))

    def attach(self, files: Iterable[Path]) -> None:
        """Put files on the study's run."""

        def write() -> None:
            for file in files:
                artifacts.put(self.client, self.study_run, file)

        self.writer.put(write)

    def describe(self, metrics: Mapping[str, float], text: str, cell: str | None = None) -> None:
        """Add numbers, and the text that the UI shows with them, to the study's run or to that of a cell."""
        run_id = self.study_run if cell is None else self.arm_runs[cell]
        tags = {names.NOTE: text, names.TABLE_SEEDS: str(len({trial["seed"] for trial in self.tracked.plan["trials"]}))}
        now = int(time.time() * 1000)

        def write() -> None:
            known = self.client.get_run(run_id).data.metrics
            changed = {name: value for name, value in metrics.items() if known.get(name) != value}
            # MLflow shows the point with the latest time; the clock of an earlier start may have been ahead.
            earlier = history(self.client, run_id, changed.keys() & known.keys())
            at = max([now, *(point.timestamp + 1 for point in earlier)])
            numbers = [Metric(name, value, at, 0) for name, value in changed.items()]
            log(self.client, run_id, numbers, tags=tags)

        self.writer.put(write)

    def end_without_room(self) -> None:
        """Leave out what a full disk does not take; end the runs as interrupted, if it is full for artifacts alone."""
        self.writer.leaving_out = True
        self.close(State.INTERRUPTED, dict.fromkeys(self.arm_runs, State.INTERRUPTED))

    def newly_refused(self) -> list[str]:
        """Return the writes that MLflow refused for good, of which no earlier call has told."""
        new = self.writer.refused[self._returned :]
        self._returned += len(new)
        return new
