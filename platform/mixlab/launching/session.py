"""Carries the events of a phase's trials to MLflow and the terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from mixlab.cluster.source import End
from mixlab.errors import last_line
from mixlab.launching.display import Display
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import JOURNAL, Storage
from mixlab.tracking import names
from mixlab.tracking.mirrors import Mirrors
from mixlab.tracking.trial_runs import TrialRuns

KEPT = (JOURNAL, *names.KEPT_FILES)  # the files that are read from the checkpoint of a finished trial


@dataclass
class Session:
    """Implements ``source.Listener`` for MLflow's runs, the terminal and the mirrors."""

    runs: TrialRuns
    storage: Storage
    display: Display
    mirrors: Mirrors
    keep_files: bool  # whether the files of a finished trial go to MLflow
    after_end: Callable[[], None] = lambda: None  # called when a trial has ended
    latest: dict[str, Epoch] = field(default_factory=dict, init=False)  # by key, while a trial is not over
    running: dict[str, Trial] = field(default_factory=dict, init=False)
    ends: dict[str, End] = field(default_factory=dict, init=False)  # by key
    failures: dict[str, str] = field(default_factory=dict, init=False)  # by the trial's name, its error's last line
    _begun: set[str] = field(default_factory=set, init=False)

    def resumed(self, trial: Trial, epochs: Sequence[Epoch]) -> None:
        """See ``source.Listener``: MLflow may lack what a dead driver could not write."""
        self._begin(trial)
        self.runs.epochs(trial, epochs)
        self.latest[trial.key] = epochs[-1]

    def started(self, trial: Trial, latest: Epoch | None) -> None:
        self.running[trial.key] = trial
        self.mirrors.start(trial)
        self._begin(trial)
        self.display.started(trial, latest)

    def reported(self, trial: Trial, epoch: Epoch) -> None:
        self.latest[trial.key] = epoch
        self.display.reported(trial, epoch)
        self.runs.epochs(trial, [epoch])
        self.mirrors.epoch(trial, epoch)

    def crashed(self, trial: Trial, account: str) -> None:
        self.display.crashed(trial, account)

    def ended(self, trial: Trial, end: End, checkpoint: str = "") -> None:
        self._begin(trial)
        self.running.pop(trial.key, None)
        self.ends[trial.key] = end
        error = last_line(end.error) if end.state is State.FAILED else ""
        files = None
        if self.keep_files and end.state is State.DONE and checkpoint:
            files = partial(self.storage.open, checkpoint, KEPT)
        self.runs.end(trial, end.state, error, end.error, files)
        self.mirrors.end(trial, end.state)
        if error:
            self.failures[trial.name] = error
        self.after_end()
        self.display.ended(trial, end.state, self.latest.pop(trial.key, None), error)

    def _begin(self, trial: Trial) -> None:
        """Announce a trial to MLflow once per start of the command, however often it is retried."""
        if trial.key not in self._begun:
            self._begun.add(trial.key)
            self.runs.start(trial)
