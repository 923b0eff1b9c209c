"""The first phase of a search: trials that its history proposes until the budget is spent."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from mixlab.cluster.source import End, Job
from mixlab.errors import BadInput, last_line
from mixlab.launching.display import Shown
from mixlab.launching.phase import Phase, require_reported
from mixlab.launching.session import Session
from mixlab.messages import counted
from mixlab.search.history import ERROR, Claim, Found, History
from mixlab.search.race import Race
from mixlab.search.trial_store import OUTCOMES, WORDS, faults, standing
from mixlab.search.trial_store import shown as shown_url
from mixlab.spec.epoch import Epoch
from mixlab.spec.study import Cell
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import Storage
from mixlab.tracking import names
from mixlab.tracking.trial_runs import Tracked, TrialRuns

MOST_FAILED = 0.25  # the share of trials above which the search has failed


class ProposedTrials(Phase):
    """The trials that a search's history lets this driver claim.

    Each trial ends in Optuna with its true state; Ray's own ``OptunaSearch`` records one that was stopped early as
    complete, with its last value. In a search that races, ``race`` decides which trials get more seeds.
    """

    keeps_files = False
    rows = ()  # no live table: the trials are many

    def __init__(self, history: History, storage: Storage, preset: str, race: Race | None = None) -> None:
        self.history = history
        self.race = race
        self.search = history.search
        self.storage = storage
        self.objective = self.search.objective
        self.shown = Shown(history.train.find(self.objective), self.objective)
        # The winners' runs may read files that the trials leave alone, such as the test set.
        winners, train, cells = replace(self.search, tuning={}), history.train, history.cells.values()
        self.concerned = [winners.trial(cell, {}, 0, train) for cell in cells]
        self.concerned += [trial for cell in cells for trial in self.search.corners(cell, train)]
        self.claims: dict[str, Claim] = {}  # the claims that run, by key
        self.record = f"the history is at {shown_url(history.store.url)}"
        arms = {name: cell.arm for name, cell in history.cells.items()}
        plan = describe(history, preset)
        self.tracked = Tracked(self.search.name, self.search.identity, plan, names.SEARCH_LEVELS, arms)

    # Source

    def next(self, room: int) -> Job | None:
        """See ``Source``; None also while only other drivers have work."""
        if len(self.claims) >= min(room, self.search.concurrent or room):
            return None
        claim = self.history.claim()
        if claim is None:
            return None
        key = claim.trial.key
        self.claims[key] = claim
        return Job(claim.trial, self.storage.newest(only=key).get(key) if claim.again else None)

    def over(self) -> bool:
        return not self.claims and self.history.finished()  # the store is not asked while trials run

    def reported(self, trial: Trial, epoch: Epoch, may_stop: bool = True) -> End | None:
        """See ``Source``; ``BadInput`` where the objective is not among the reported metrics."""
        claim = self.claims[trial.key]
        require_reported("the objective", self.objective, trial, epoch)
        value = epoch.metrics[self.objective]
        if not math.isfinite(value):
            error = f"the objective {self.objective} became {value} in epoch {epoch.number}"
            return End(State.FAILED, error=error, answer=True)
        latest = self.history.report(claim, epoch.number, value)
        out = bool(self.race is not None and self.race.out(claim, epoch, value))
        if epoch.last:
            return End(State.DONE, value)
        if self.race is None or epoch.number * len(claim.trial.seeds) < epoch.of:  # in a race, within the first seed
            # Of an epoch before the latest, an earlier start has asked.
            out = out or (latest and may_stop and claim.trial_in_optuna.should_prune())
        return End(State.PRUNED, value) if out else None

    def ended(self, trial: Trial, end: End) -> None:
        claim = self.claims.pop(trial.key)
        value = end.value if end.state is State.DONE else None
        self.history.tell(claim, end.state, value, end.error, end.answer)

    # Phase

    def alone(self, work: Callable[[], object]) -> None:
        """See ``Phase``: if two drivers start together, one creates the runs and the other finds them."""
        self.history.store.alone(work)

    def counts(self) -> str:
        """Return words such as ``12/60 tried, 5 pruned, 1 failed``."""
        ended = self._ended()
        pruned, failed = ended.count(State.PRUNED), ended.count(State.FAILED)
        text = f"{len(ended)}/{self.history.size} tried"
        return text + (f", {pruned} pruned" if pruned else "") + (f", {failed} failed" if failed else "")

    def catch_up(self, session: Session) -> bool:
        """See ``Phase``: some trials ended while MLflow was away, by another driver, or without being run."""
        runs, saved = session.runs, self.storage.newest()
        try:
            runs.read()
        except BadInput:
            return False
        for cell, found in self._trials():
            if found.state not in OUTCOMES:
                continue
            trial = self.history.as_trial(cell, found)
            known, outcome = runs.recorded.get(trial.key), OUTCOMES[found.state]
            if trial.key in session.ends or (known and names.STATUS.get(known.state) == names.STATUS[outcome]):
                continue
            runs.start(trial)
            runs.epochs(trial, saved[trial.key].epochs if trial.key in saved else self._curve(found))
            account = str(found.user_attrs.get(ERROR, ""))
            runs.end(trial, outcome, last_line(account) if account else "", account)
        self.after_end(runs)
        return True

    def after_end(self, runs: TrialRuns) -> None:
        """See ``Phase``: marks the best trial of each arm."""
        cells = self.history.cells
        runs.mark_best({self.history.as_trial(cells[name], found).key for name, found in self.winners().items()})

    def release(self) -> None:
        self.history.release(list(self.claims.values()))
        self.claims = {}

    def state(self, cell: str) -> State:
        if not self.history.finished():
            return State.INTERRUPTED
        return State.DONE if self.history.best(cell) is not None else State.FAILED

    def forgettable(self) -> set[str]:
        return {self.history.as_trial(cell, found).key for cell, found in self._trials()}

    # The outcome

    def winners(self) -> dict[str, Found]:
        """Return the best trial of each cell that has one."""
        return {name: found for name in self.history.cells if (found := self.history.best(name)) is not None}

    def failing(self) -> str:
        """Return why the search as a whole has failed, in a sentence; empty where it has not.

        A failure that the trainable names in ``final``, or a training that diverges, is an answer about the
        configuration and does not count.
        """
        ended = len(self._ended())
        failed = sum(len(faults(self.history.trials(name))) for name in self.history.cells)
        if failed < MOST_FAILED * ended or not failed:
            return ""
        of_all = f"{failed} of the search's {counted(ended, 'trial')} failed"
        return f"{of_all}, of which a quarter is too many to trust the rest; the same command tries those again"

    def _trials(self) -> list[tuple[Cell, Found]]:
        cells = self.history.cells.items()
        return [(cell, found) for name, cell in cells for found in standing(self.history.trials(name))]

    def _ended(self) -> list[State]:
        return [state for _, found in self._trials() if (state := WORDS[found.state]).over]

    def _curve(self, found: Found) -> list[Epoch]:
        """Return the epochs of a trial as far as Optuna alone knows them."""
        values = sorted(found.intermediate_values.items())
        return [Epoch(number, values[-1][0], {self.objective: value}) for number, value in values]


def describe(history: History, preset: str) -> dict[str, Any]:
    """Return what the analysis needs to know about the search, ready for JSON."""
    search = history.search
    controls = {arm.name for arm in search.study.arms if arm.control}
    return {
        "search": search.name,
        "preset": preset,
        "storage": shown_url(history.store.url),
        "confirmation": search.confirmation({}).identity,
        "arms": {name: study.study_name for name, study in history.arms.items()},
        "controls": [name for name, cell in history.cells.items() if cell.arm in controls],
        "objective": search.objective,
        "direction": search.direction,
        "held_out": search.holds_out(history.train),
        "tuning": dict(search.tuning or {}),
        "metrics": [metric.json() for metric in history.train.metrics],
        "space": {key: {"kind": type(values).__name__, **asdict(values)} for key, values in search.space.items()},
        "per_arm": search.per_cell,
        "sampler": search.sampler,
        "scheduler": search.scheduler,
        "search_seeds": list(search.search_seeds),
        **({"racing": True} if search.racing else {}),
        "seeds": list(search.study.seeds),
    }
