"""One start of a study: what is done already, what is missing, and what to do with every event."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mixlab.run.display import Display
from mixlab.spec.study import Trial
from mixlab.storage.journal import Saved, Storage
from mixlab.tracking.store import Recorded
from mixlab.tracking.tracker import Tracker

State = str  # done, pending, interrupted or failed


def states(trials: Sequence[Trial], recorded: Mapping[str, Recorded], saved: Mapping[str, Saved]) -> dict[str, State]:
    """By key, where each trial stands: what MLflow has recorded, then what the journal can complete."""
    found: dict[str, State] = {}
    for trial in trials:
        status = recorded[trial.key].status if trial.key in recorded else ""
        if status == "FINISHED":
            found[trial.key] = "done"
        elif status == "FAILED":
            found[trial.key] = "failed"
        elif trial.key in saved or status:
            found[trial.key] = "interrupted"
        else:
            found[trial.key] = "pending"
    return found


class Session:
    """Carries events from the schedule to MLflow and the terminal. Implements ``schedule.Listener``."""

    def __init__(
        self, trials: Sequence[Trial], tracker: Tracker, storage: Storage, display: Display, saved: Mapping[str, Saved]
    ) -> None:
        self.trials = trials
        self.tracker = tracker
        self.storage = storage
        self.display = display
        self.saved = saved
        self.epochs = {trial.key: 0 for trial in trials}  # of each trial, the last that is done
        self.metrics: dict[str, Mapping[str, Any]] = {}
        self.running: dict[str, Trial] = {}
        self.done_keys = {key for key, found in tracker.recorded.items() if found.status == "FINISHED"}
        self.failures: dict[str, str] = {}  # trial name to the first line of its error
        self._begun: set[str] = set()

    def replay(self, trial: Trial) -> bool:
        """Bring MLflow up to what the journal holds of a trial; whether the trial is complete by that."""
        saved = self.saved.get(trial.key)
        if saved is None:
            return False
        self._begin(trial)
        self.tracker.epochs(trial, saved.epochs)
        self.epochs[trial.key] = len(saved.epochs)
        self.metrics[trial.key] = saved.epochs[-1]
        if saved.epochs[-1]["epoch"] < saved.epochs[-1]["epochs"]:
            return False
        self.done(trial, saved.path)
        return True

    def started(self, trial: Trial) -> None:
        """See ``schedule.Listener``."""
        self.running[trial.key] = trial
        self._begin(trial)
        self.display.started(trial, self.epochs[trial.key])

    def reported(self, trial: Trial, metrics: Mapping[str, Any]) -> None:
        """See ``schedule.Listener``."""
        self.metrics[trial.key] = metrics
        self.epochs[trial.key] = metrics["epoch"]
        self.display.reported(trial, metrics)
        self.tracker.epochs(trial, [metrics])

    def crashed(self, trial: Trial, account: str) -> None:
        """See ``schedule.Listener``."""
        self.display.crashed(trial, account)

    def done(self, trial: Trial, checkpoint: str) -> None:
        """See ``schedule.Listener``."""
        self.running.pop(trial.key, None)
        self.done_keys.add(trial.key)
        self.tracker.finish(trial, partial(self.storage.open, checkpoint))
        self.display.done(trial, f"{self.metrics[trial.key].get('test_top1', float('nan')):.2f}")

    def failed(self, trial: Trial, traceback: str) -> None:
        """See ``schedule.Listener``."""
        self.running.pop(trial.key, None)
        traceback = plain(traceback)
        error = first_line(traceback)
        self.failures[trial.name] = error
        self.tracker.fail(trial, error, traceback)
        self.display.gave_up(trial, error)

    def close(self, interrupted: bool) -> None:
        """Give every run in MLflow its true end."""
        self.tracker.stop(self.running.values())
        statuses: dict[str, str] = {}
        failed = set(self.failures)
        for cell in {trial.cell for trial in self.trials}:
            of_cell = [trial for trial in self.trials if trial.cell == cell]
            if any(trial.name in failed for trial in of_cell):
                statuses[cell] = "FAILED"
            else:
                statuses[cell] = "FINISHED" if all(t.key in self.done_keys for t in of_cell) else "KILLED"
        self.tracker.close("KILLED" if interrupted else "FAILED" if failed else "FINISHED", statuses)

    def _begin(self, trial: Trial) -> None:
        """Announce a trial to MLflow once a start of the command, however often it is retried."""
        if trial.key not in self._begun:
            self._begun.add(trial.key)
            self.tracker.start(trial)


def plain(traceback: str) -> str:
    """Without the colours that Ray gives it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", traceback)


def first_line(traceback: str) -> str:
    """The line of a traceback that says what happened: its last that is not indented."""
    lines = [line for line in traceback.strip().splitlines() if line and not line[0].isspace()]
    return lines[-1] if lines else "unknown error"
