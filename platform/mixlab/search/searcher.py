"""Between Ray Tune and Optuna: what Ray Tune asks for comes from the history, and what it sees goes there."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from mixlab.cluster.schedule import InTurn, Job, suggestion
from mixlab.errors import BadInput
from mixlab.search.history import Claim, History, Outcome
from mixlab.spec.search import SearchTrial
from mixlab.spec.study import NOT_METRICS
from mixlab.storage.journal import Saved, Storage


@dataclass(frozen=True)
class End:
    """How a trial ended: the objective's last value if it has one, and the error of a failed one."""

    outcome: Outcome
    value: float | None = None
    error: str = ""  # a traceback, or a sentence


class Heir(Protocol):
    """Is told of trials that somebody else has begun."""

    def taken_over(self, trial: SearchTrial, saved: Saved | None) -> None:
        """This driver goes on with ``trial`` from its last checkpoint, if there is one."""


class HistorySearcher(Searcher):
    """Suggests what ``history`` lets this driver claim; ends each trial in Optuna as what it was.

    Ray's own ``OptunaSearch`` records a trial that was stopped early as complete, with its last value.

    Args:
        history: of the search.
        storage: of its checkpoints.
        heir: told of trials that another driver began.
        room: how many trials may run just now; more when a node joins.
    """

    def __init__(
        self, history: History, storage: Storage, heir: Heir, room: Callable[[], int] = lambda: sys.maxsize
    ) -> None:
        super().__init__()
        self.history = history
        self.storage = storage
        self.heir = heir
        self.room = room
        self.claims: dict[str, Claim] = {}  # by Ray's id of the trial, those that run
        self.ends: dict[str, End] = {}  # by key
        self.broken: BadInput | None = None  # why the search cannot go on

    def __getstate__(self) -> dict[str, Any]:
        # Ray Tune writes its searcher to disk for Tuner.restore, which is not used: a relaunch reads the history.
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next job; None while there is no room, or only other drivers have work; ``FINISHED`` when nobody has."""
        if len(self.claims) >= self.room():
            return None
        while self.broken is None:
            claim = self.history.claim()
            if claim is None:
                return Searcher.FINISHED if self.history.finished() else None
            saved = self.storage.newest().get(claim.trial.key) if claim.again else None
            if claim.again:
                self.heir.taken_over(claim.trial, saved)
            if saved is not None and self._replay(claim, saved):
                continue
            self.claims[trial_id] = claim
            return suggestion(Job(claim.trial, saved.path if saved else None))
        return Searcher.FINISHED

    def judge(self, trial_id: str, metrics: Mapping[str, Any]) -> bool:
        """Record an epoch; whether the trial has to stop, and why is then in ``ends``."""
        if self.broken is not None:
            return True
        claim, objective = self.claims[trial_id], self.history.search.objective
        if "error" not in metrics and objective not in metrics:
            reported = ", ".join(sorted(name for name in metrics if name not in NOT_METRICS))
            self.broken = BadInput(
                f"the objective {objective!r} was not reported by {claim.trial.name}; it reports {reported}"
            )
            return True
        end = self._end(claim, metrics)
        if end is None and self.history.hopeless(claim):
            end = End(Outcome.PRUNED, float(metrics[objective]))
        if end is not None:
            self.ends[claim.trial.key] = end
        return end is not None and metrics["epoch"] < metrics["epochs"]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """See ``Searcher``."""
        claim = self.claims.pop(trial_id, None)
        if claim is None:
            return
        if self.broken is not None:
            self.history.release([claim])
            return
        end = self.ends.get(claim.trial.key)
        if error:
            end = End(Outcome.FAILED, error="its process died again and again")
        elif end is None:
            end = End(Outcome.FAILED, error="it ended before its last epoch")
        self.ends[claim.trial.key] = end
        self._tell(claim, end)

    def _end(self, claim: Claim, metrics: Mapping[str, Any]) -> End | None:
        """Put an epoch into the history; the trial's end if this was its last."""
        if "error" in metrics:
            return End(Outcome.FAILED, error=metrics["error"])
        value, epoch = float(metrics[self.history.search.objective]), int(metrics["epoch"])
        if not math.isfinite(value):
            name = self.history.search.objective
            return End(Outcome.FAILED, error=f"the objective {name} became {value} in epoch {epoch}")
        self.history.report(claim, epoch, value)
        return End(Outcome.COMPLETE, value) if epoch >= metrics["epochs"] else None

    def _replay(self, claim: Claim, saved: Saved) -> bool:
        """Give the history what the journal has of a trial; whether that ends it."""
        for metrics in saved.epochs:
            end = self._end(claim, metrics)
            if end is not None:
                self.ends[claim.trial.key] = end
                self._tell(claim, end)
                return True
        return False

    def _tell(self, claim: Claim, end: End) -> None:
        value = end.value if end.outcome is Outcome.COMPLETE else None
        self.history.tell(claim, end.outcome, value, end.error)


class Stopper(InTurn):
    """The scheduler of a search: a trial stops when the history says so."""

    def __init__(self, searcher: HistorySearcher) -> None:
        super().__init__()
        self.searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as of HistorySearcher

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """See ``TrialScheduler``; Ray Tune flattens ``metrics`` into keys that begin with it."""
        metrics = {key.removeprefix("metrics/"): value for key, value in result.items() if key.startswith("metrics/")}
        stop = bool(metrics) and self.searcher.judge(trial.trial_id, metrics)
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
