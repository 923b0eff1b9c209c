"""One start of a search: carries what happens to its trials to MLflow and the terminal."""

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from mixlab.run.session import first_line, plain
from mixlab.search.history import ERROR, OUTCOMES, TWIN, History, Outcome
from mixlab.search.searcher import End, HistorySearcher
from mixlab.spec.search import SearchTrial
from mixlab.spec.study import Trial
from mixlab.storage.journal import Saved
from mixlab.tracking.tracker import Tracker

LEVELS = ("search", "arm", "trial")


class SearchSession:
    """Implements ``schedule.Listener`` and ``searcher.Heir``."""

    def __init__(self, history: History, tracker: Tracker, console: Console, quiet: bool) -> None:
        self.history = history
        self.tracker = tracker
        self.console = console
        self.quiet = quiet
        self.ends: Mapping[str, End] = {}  # of the searcher, by key
        self.epochs: dict[str, int] = {}  # by key, the last that is done
        self.running: dict[str, Trial] = {}

    def follow(self, searcher: HistorySearcher) -> None:
        """Learn from ``searcher`` how trials end."""
        self.ends = searcher.ends

    def catch_up(self, saved: Mapping[str, Saved]) -> bool:
        """Bring MLflow up to the history: what ended while it was away, or without being run. False if it is away."""
        if not self.tracker.refresh():
            return False
        for name, cell in self.history.cells.items():
            for found in self.history.trials(name):
                if found.state not in OUTCOMES or TWIN in found.user_attrs:
                    continue
                trial = self.history.as_trial(cell, found)
                known = self.tracker.recorded.get(trial.key)
                if known is None or known.status not in ("FINISHED", "FAILED"):
                    self.tracker.start(trial)
                    self._log(trial, saved[trial.key].epochs if trial.key in saved else self._curve(found))
                    error = found.user_attrs.get(ERROR, "")
                    self._record(trial, End(OUTCOMES[found.state], found.value, error))
        self._mark_best()
        return True

    def taken_over(self, trial: SearchTrial, saved: Saved | None) -> None:
        """See ``searcher.Heir``."""
        self.tracker.start(trial)
        self._log(trial, saved.epochs if saved else [])

    def started(self, trial: Trial) -> None:
        """See ``schedule.Listener``."""
        if trial.key not in self.running:
            self.running[trial.key] = trial
            self.tracker.start(trial)
            self.tracker.tag(trial.key, {"mixlab.state": "running"})
            epochs = self.epochs.get(trial.key, 0)
            self._line(f"{trial.name}: started{f', goes on after epoch {epochs}' if epochs else ''}")

    def reported(self, trial: Trial, metrics: Mapping[str, Any]) -> None:
        """See ``schedule.Listener``."""
        self._log(trial, [metrics])

    def crashed(self, trial: Trial, account: str) -> None:
        """See ``schedule.Listener``."""
        self.console.print(f"{trial.name}: {account}", style="yellow", markup=False, soft_wrap=True)

    def done(self, trial: Trial, checkpoint: str) -> None:
        """See ``schedule.Listener``."""
        end = self.ends.get(trial.key)
        if end is None:  # the search stopped; the trial was given back
            return
        self.running.pop(trial.key, None)
        self._record(trial, end)
        value = "" if end.value is None else f", {self.history.search.objective} {end.value:.4g}"
        after = f" after epoch {self.epochs.get(trial.key, 0)}" if end.outcome is Outcome.PRUNED else ""
        if end.outcome is not Outcome.FAILED:
            self._line(f"{trial.name}: {end.outcome.value}{after}{value}")
            self._mark_best()

    def failed(self, trial: Trial, traceback: str) -> None:
        """See ``schedule.Listener``."""
        self.running.pop(trial.key, None)
        self._record(trial, End(Outcome.FAILED, error=traceback))

    def close(self, interrupted: bool) -> None:
        """Give every run in MLflow its true end."""
        self.tracker.stop(self.running.values())
        over = self.history.finished()
        arms = {
            name: "KILLED" if not over else "FINISHED" if self.history.best(name) is not None else "FAILED"
            for name in self.history.cells
        }
        self._mark_best()
        self.tracker.close("FINISHED" if over and not interrupted else "KILLED", arms)

    def _log(self, trial: Trial, epochs: list[Any]) -> None:
        new = [epoch for epoch in epochs if "error" not in epoch]
        if new:
            self.epochs[trial.key] = new[-1]["epoch"]
            self.tracker.epochs(trial, new)

    def _curve(self, found: FrozenTrial) -> list[dict[str, Any]]:
        """What Optuna alone knows of the epochs of a trial."""
        objective = self.history.search.objective
        return [{"epoch": epoch, objective: value} for epoch, value in sorted(found.intermediate_values.items())]

    def _record(self, trial: Trial, end: End) -> None:
        tags = {"mixlab.state": end.outcome.value}
        if end.outcome is not Outcome.FAILED:
            self.tracker.end(trial, tags)
            return
        traceback = plain(end.error)
        error = first_line(traceback)
        self.tracker.tag(trial.key, tags)
        self.tracker.fail(trial, error, traceback)
        self.console.print(f"{trial.name}: failed: {error}", style="red", markup=False, highlight=False)

    def _mark_best(self) -> None:
        best = {name: self.history.best(name) for name in self.history.cells}
        trials = (self.history.as_trial(self.history.cells[name], found) for name, found in best.items() if found)
        self.tracker.mark_best({trial.key for trial in trials})

    def _line(self, text: str) -> None:
        if not self.quiet:
            self.console.print(f"[{self.counts()}] {text}", markup=False, highlight=False, soft_wrap=True)

    def counts(self) -> str:
        """Such as ``12/60 tried, 5 pruned, 1 failed``."""
        states = [trial.state for name in self.history.cells for trial in self.history.trials(name)]
        pruned, failed = states.count(TrialState.PRUNED), states.count(TrialState.FAIL)
        over = sum(state.is_finished() for state in states)
        text = f"{over}/{self.history.size} tried"
        return text + (f", {pruned} pruned" if pruned else "") + (f", {failed} failed" if failed else "")
