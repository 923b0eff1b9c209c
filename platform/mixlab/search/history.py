"""What a search has tried so far: one Optuna study an arm, in a storage that every driver of the search shares.

A trial is claimed under a lock, so that no two drivers run the same one; it belongs to its driver until it ends.
A driver that dies leaves its trials RUNNING: the next one to claim finds that it is gone and goes on with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import optuna
from optuna.trial import FrozenTrial, TrialState

from mixlab.search.drivers import Drivers
from mixlab.search.samplers import build_pruner, build_sampler
from mixlab.search.trial_store import TrialStore
from mixlab.spec import space as ranges
from mixlab.spec.search import Cell, Resolve, Search, SearchTrial
from mixlab.spec.study import digest

DRIVER, KEY, ERROR, TWIN = "mixlab.driver", "mixlab.key", "mixlab.error", "mixlab.same_as"
CONFIRMING = "mixlab.confirming"


class Outcome(Enum):
    """How a trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


STATES = {
    Outcome.COMPLETE: TrialState.COMPLETE,
    Outcome.PRUNED: TrialState.PRUNED,
    Outcome.FAILED: TrialState.FAIL,
}
OUTCOMES = {state: outcome for outcome, state in STATES.items()}


@dataclass(frozen=True)
class Claim:
    """A trial that this driver is to run."""

    trial: SearchTrial
    trial_in_optuna: optuna.Trial
    again: bool  # another driver, or another start of this one, has begun it


class History:
    """The trials of every arm of one search. Use as a context: it is alive to other drivers within."""

    def __init__(self, search: Search, resolve: Resolve, store: TrialStore) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search = search
        self.resolve = resolve
        self.store = store
        self.drivers = Drivers(self._study(search.name))
        self.cells = {cell.name: cell for cell in search.cells()}
        self.arms = {name: self._study(search.history_name(cell, resolve)) for name, cell in self.cells.items()}
        self._held: list[Claim] = []  # same configuration as one that runs elsewhere: waiting for its result

    def __enter__(self) -> "History":
        self.drivers.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.drivers.__exit__(*error)

    # Claiming

    def claim(self) -> Claim | None:
        """The next trial to run, of the arm that has had the fewest; None where there is none at the moment."""
        with self.store.lock():
            self._settle_held()
            self._release_orphans()
            while True:
                due = {name: len(self._begun(name)) for name in self.arms if self._has_room(name)}
                if not due:
                    return None
                claim = self._ask(self.cells[min(due, key=lambda name: due[name])])
                if claim is not None:
                    return claim

    def finished(self) -> bool:
        """Whether every trial of the budget has ended, whoever ran it."""
        return all(
            sum(trial.state.is_finished() for trial in self.trials(name)) >= self._budget(cell)
            for name, cell in self.cells.items()
        )

    @property
    def size(self) -> int:
        """The trials of all arms."""
        return sum(self._budget(cell) for cell in self.cells.values())

    def release(self, claims: Sequence[Claim]) -> None:
        """Give back trials that were interrupted: whoever claims next goes on with them."""
        for claim in (*claims, *self._held):
            self._put_back(claim.trial.cell, claim.trial_in_optuna._trial_id)
        self._held = []

    # Telling

    def report(self, claim: Claim, epoch: int, value: float) -> None:
        """Record the objective after an epoch, unless it is known already."""
        if epoch not in self.of(claim.trial).intermediate_values:
            claim.trial_in_optuna.report(value, epoch)

    def hopeless(self, claim: Claim) -> bool:
        """Whether a trial should be stopped for what it last reported."""
        return bool(claim.trial_in_optuna.should_prune())

    def tell(self, claim: Claim, outcome: Outcome, value: float | None = None, error: str = "") -> None:
        """End a trial: ``value`` of a complete one; a pruned one keeps the last that was reported."""
        if error:
            claim.trial_in_optuna.set_user_attr(ERROR, error[:500])
        self.arms[claim.trial.cell].tell(claim.trial_in_optuna, value, STATES[outcome])

    # Asking

    def of(self, trial: SearchTrial) -> FrozenTrial:
        """What Optuna holds of a trial."""
        return self.trials(trial.cell)[trial.number]

    def trials(self, cell: str) -> list[FrozenTrial]:
        """Of an arm: every trial that was ever begun, by number."""
        return self.arms[cell].get_trials(deepcopy=False)

    def as_trial(self, cell: Cell, found: FrozenTrial) -> SearchTrial:
        """The trial that ``found`` stands for."""
        return self.search.trial(cell, found.params, found.number, self.resolve)

    def best(self, cell: str) -> FrozenTrial | None:
        """The best complete trial of an arm; the earliest of equals."""
        complete = [trial for trial in self.trials(cell) if trial.state == TrialState.COMPLETE]
        sign = -1 if self.search.direction == "maximize" else 1
        return min(complete, key=lambda trial: sign * (trial.value or 0.0), default=None)

    # One driver at a time

    def begin_confirmation(self) -> bool:
        """Whether the winners are this driver's to train; False while another driver does it."""
        with self.store.lock():
            owner = self.drivers.study.user_attrs.get(CONFIRMING, "")
            if owner not in ("", self.drivers.me) and self.drivers.alive(owner):
                return False
            self.drivers.study.set_user_attr(CONFIRMING, self.drivers.me)
            return True

    def end_confirmation(self) -> None:
        """Let another driver look at the confirmation."""
        self.drivers.study.set_user_attr(CONFIRMING, "")

    def _study(self, name: str) -> optuna.Study:
        return optuna.create_study(
            storage=self.store.storage, study_name=name, direction=self.search.direction, load_if_exists=True
        )

    def _begun(self, name: str) -> list[FrozenTrial]:
        return [trial for trial in self.trials(name) if trial.state != TrialState.WAITING]

    def _budget(self, cell: Cell) -> int:
        """Trials of an arm; a grid may have fewer points than it was given trials."""
        if self.search.sampler != "grid":
            return self.search.per_cell
        return min(self.search.per_cell, len(ranges.grid(self.search.space, self.search.config(cell, {}))))

    def _has_room(self, name: str) -> bool:
        trials = self.trials(name)
        waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
        return min([*waiting, len(trials)]) < self._budget(self.cells[name])

    def _ask(self, cell: Cell) -> Claim | None:
        """Claim a trial of ``cell``; None where its result is known, or on its way, from one just like it."""
        study = self.arms[cell.name]
        trials = self.trials(cell.name)
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        # By the trial's own number: one that died before its first draw must not draw what the next new one will.
        number = waiting[0].number if waiting else len(trials)
        study.sampler = build_sampler(self.search.sampler, study.study_name, number, self.search.per_cell)
        if waiting:
            # Not by study.ask(): not every storage looks for an interrupted trial among those before a newer one.
            study._storage.set_trial_state_values(waiting[0]._trial_id, TrialState.RUNNING)
            asked = optuna.Trial(study, waiting[0]._trial_id)
        else:
            if self.search.sampler == "grid":
                study.enqueue_trial(self._grid_point(cell, number))
            asked = study.ask()
        point = ranges.suggest(self.search.space, self.search.config(cell, {}), asked)
        trial = self.search.trial(cell, point, asked.number, self.resolve)
        study.pruner = build_pruner(self.search.scheduler, int(trial.config.get("epochs", 1)) * len(trial.seeds))
        asked.set_user_attr(DRIVER, self.drivers.me)
        asked.set_user_attr(KEY, trial.key)
        claim = Claim(trial, asked, bool(waiting))
        if self._twin(claim) is None:
            return claim
        self._held.append(claim)
        self._settle_held()
        return None

    def _grid_point(self, cell: Cell, number: int) -> dict[str, object]:
        """The grid in an order of its own, so that half of it is no half of the space."""
        points = ranges.grid(self.search.space, self.search.config(cell, {}))
        return sorted(points, key=lambda point: digest([self.search.name, point]))[number]

    def _twin(self, claim: Claim) -> FrozenTrial | None:
        """An earlier trial with the same key: its numbers would be the same, so it is not trained again."""
        for trial in self.trials(claim.trial.cell):
            if trial.user_attrs.get(KEY) == claim.trial.key and trial.number < claim.trial.number:
                return trial
        return None

    def _settle_held(self) -> None:
        """Give each trial that waits for its twin the twin's result, where that is there."""
        for claim in list(self._held):
            twin = self._twin(claim)
            if twin is None or not twin.state.is_finished():
                continue
            self._held.remove(claim)
            for epoch, value in twin.intermediate_values.items():
                claim.trial_in_optuna.report(value, epoch)
            claim.trial_in_optuna.set_user_attr(TWIN, twin.number)
            outcome = OUTCOMES[twin.state]
            value = twin.value if outcome is Outcome.COMPLETE else None
            self.tell(claim, outcome, value, twin.user_attrs.get(ERROR, ""))

    def _release_orphans(self) -> None:
        for name in self.arms:
            for trial in self.trials(name):
                if trial.state == TrialState.RUNNING and not self.drivers.alive(trial.user_attrs.get(DRIVER, "")):
                    self._put_back(name, trial._trial_id)

    def _put_back(self, name: str, trial_id: int) -> None:
        self.arms[name]._storage.set_trial_state_values(trial_id, TrialState.WAITING)
