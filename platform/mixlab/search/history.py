"""Keeps the trials of a search so far: one Optuna study per arm, in a storage that all drivers of the search share.

A trial is claimed under a lock, so that no two drivers run the same one; it belongs to its driver until it ends.
A driver that dies leaves its trials RUNNING: the next one to claim finds that it is gone and continues them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from mixlab.search import optuna_private
from mixlab.search.drivers import Drivers
from mixlab.search.samplers import build_pruner, build_sampler
from mixlab.search.trial_store import OUTCOMES, STATES, TrialStore, best_of, budget, faults, points_left, standing
from mixlab.spec import space as ranges
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.search import ANSWER, INSTEAD, TWIN, Search, SearchTrial
from mixlab.spec.study import Cell
from mixlab.spec.trial import State, digest

Found: TypeAlias = FrozenTrial  # a trial as Optuna holds it

DRIVER, KEY, ERROR = "mixlab.driver", "mixlab.key", "mixlab.error"
CONFIRMING = "mixlab.confirming"


@dataclass(frozen=True)
class Claim:
    """A trial that this driver is to run."""

    trial: SearchTrial
    trial_in_optuna: optuna.Trial
    again: bool  # another driver, or another start of this one, has begun it


class History:
    """The trials of every arm of one search; this driver is alive to others in ``drivers.joined()``."""

    def __init__(self, search: Search, train: CompleteTrainable, store: TrialStore) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search = search
        self.train = train
        self.store = store
        self.drivers = Drivers(self._study(search.name))
        self.cells = {cell.name: cell for cell in search.study.cells()}
        self.arms = {name: self._study(search.history_name(cell, train)) for name, cell in self.cells.items()}
        self._held: list[Claim] = []  # claims that wait for the result of another trial with the same key

    # Claiming

    def claim(self) -> Claim | None:
        """Return the next trial to run, from the arm that has had the fewest; None if there is none at the moment."""
        held = list(self._held)

        def work() -> Claim | None:
            self._held = list(held)
            self._settle_held()
            self._release_orphans()
            while due := [name for name in self.arms if self._has_room(name)]:
                claim = self._ask(self.cells[min(due, key=self._begun)])
                if claim is not None:
                    return claim
            return None

        return self.store.alone(work)

    def retry_faults(self) -> None:
        """Let each trial that failed by a fault be tried again, as a new one with the same values."""

        def work() -> None:
            for name, study in self.arms.items():
                for failed in faults(self.trials(name)):
                    values = {"params": failed.params, "distributions": failed.distributions}
                    instead = {INSTEAD: failed.number}
                    study.add_trial(create_trial(state=TrialState.WAITING, user_attrs=instead, **values))

        self.store.alone(work)

    def finished(self) -> bool:
        """Return whether every trial of the budget has ended, whoever ran it."""
        for name, cell in self.cells.items():
            trials = standing(self.trials(name))
            if sum(trial.state.is_finished() for trial in trials) < self._budget(cell, trials):
                return False
        return True

    @property
    def size(self) -> int:
        """Return the number of trials of all arms, of which some may have more than their budget now."""
        every = ((cell, self.trials(name)) for name, cell in self.cells.items())
        return sum(max(self._budget(cell, trials), len(standing(trials))) for cell, trials in every)

    def release(self, claims: Sequence[Claim]) -> None:
        """Give back trials that were interrupted: whoever claims next continues them."""

        def work() -> None:  # if it was done again, it would take a trial back from who has claimed it since
            for claim in (*claims, *self._held):
                optuna_private.put_back(self.arms[claim.trial.cell], claim.trial_in_optuna)

        self.store.alone(work)

    # Telling

    def report(self, claim: Claim, epoch: int, value: float) -> bool:
        """Record the objective after an epoch, unless it is already known; return whether that of no later one is."""
        known = self.of(claim.trial).intermediate_values
        if epoch not in known:
            claim.trial_in_optuna.report(value, epoch)
        return epoch >= max(known, default=0)

    def tell(
        self, claim: Claim, outcome: State, value: float | None = None, error: str = "", answer: bool = False
    ) -> None:
        """End a trial: a complete one with ``value``; a pruned one keeps the last reported value.

        One that failed has its ``error``, which may be an ``answer`` about the configuration.
        """
        if answer:
            claim.trial_in_optuna.set_user_attr(ANSWER, True)
        if error:
            reason = error.strip()[-500:]  # a traceback says at its end what happened
            claim.trial_in_optuna.set_user_attr(ERROR, reason)
        self.arms[claim.trial.cell].tell(claim.trial_in_optuna, value, STATES[outcome])

    # Asking

    def of(self, trial: SearchTrial) -> FrozenTrial:
        """Return a trial as Optuna holds it."""
        return self.trials(trial.cell)[trial.number]

    def trials(self, cell: str) -> list[FrozenTrial]:
        """Return every trial of an arm that was ever begun, by number."""
        return self.arms[cell].get_trials(deepcopy=False)

    def as_trial(self, cell: Cell, found: FrozenTrial) -> SearchTrial:
        """Return the trial that ``found`` stands for; it keeps the key with which it was begun."""
        trial = self.search.trial(cell, found.params, found.number, self.train)
        return replace(trial, key=found.user_attrs.get(KEY, trial.key))

    def best(self, cell: str) -> FrozenTrial | None:
        """Return the best complete trial of an arm, the earliest among equals."""
        return best_of(self.arms[cell])

    # One driver at a time

    def begin_confirmation(self) -> bool:
        """Return whether this driver is to train the winners; False while another driver does it."""

        def work() -> bool:
            owner = self.drivers.study.user_attrs.get(CONFIRMING, "")
            if owner not in ("", self.drivers.me) and self.drivers.alive(owner):
                return False
            self.drivers.study.set_user_attr(CONFIRMING, self.drivers.me)
            return True

        return self.store.alone(work)

    def end_confirmation(self) -> None:
        """Let another driver proceed to the confirmation."""
        self.drivers.study.set_user_attr(CONFIRMING, "")

    def _study(self, name: str) -> optuna.Study:
        return optuna.create_study(
            storage=self.store.storage, study_name=name, direction=self.search.direction, load_if_exists=True
        )

    def _budget(self, cell: Cell, trials: Sequence[FrozenTrial]) -> int:
        return budget(self.search, cell, self.train, trials)

    def _begun(self, name: str) -> int:
        return sum(trial.state != TrialState.WAITING for trial in standing(self.trials(name)))

    def _has_room(self, name: str) -> bool:
        trials = standing(self.trials(name))
        waiting = [place for place, trial in enumerate(trials) if trial.state == TrialState.WAITING]
        return min([*waiting, len(trials)]) < self._budget(self.cells[name], trials)

    def _ask(self, cell: Cell) -> Claim | None:
        """Claim a trial of ``cell``; None if another with the same key has its result or is running."""
        study = self.arms[cell.name]
        trials = self.trials(cell.name)
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        # Seeded by the trial's own number: one that died before its first draw must not draw as the next new one does.
        number = waiting[0].number if waiting else len(trials)
        study.sampler = build_sampler(self.search.sampler, study.study_name, number, self.search.per_cell)
        if waiting:
            asked = optuna_private.go_on(study, waiting[0])
        else:
            if self.search.sampler == "grid":
                study.enqueue_trial(self._grid_point(cell, trials))
            asked = study.ask()
        shared = self.train.resolve(self.search.config(cell, {})).flat
        point = ranges.suggest(self.search.space, shared, asked)
        trial = self.search.trial(cell, point, asked.number, self.train)
        seeds = 1 if self.search.racing else len(trial.seeds)  # in a race only the first can be stopped halfway
        study.pruner = build_pruner(self.search.scheduler, _epochs(trial) * seeds)
        asked.set_user_attr(DRIVER, self.drivers.me)
        asked.set_user_attr(KEY, trial.key)
        claim = Claim(trial, asked, bool(waiting))
        if self._twin(claim) is None:
            return claim
        self._held.append(claim)
        self._settle_held()
        return None

    def _grid_point(self, cell: Cell, trials: Sequence[FrozenTrial]) -> dict[str, object]:
        """Return a point of the grid that is left, in random order: half a grid should not cover half of the space."""
        left = points_left(self.search, cell, self.train, trials)
        return min(left, key=lambda point: digest([self.search.name, point]))

    def _twin(self, claim: Claim) -> FrozenTrial | None:
        """Return an earlier trial with the same key: its numbers would be the same, so it is not trained again."""
        key, number = claim.trial.key, claim.trial.number
        earlier = (trial for trial in standing(self.trials(claim.trial.cell)) if trial.number < number)
        return next((trial for trial in earlier if trial.user_attrs.get(KEY) == key), None)

    def _settle_held(self) -> None:
        """Give each trial that waits for its twin the twin's result, once it exists."""
        for claim in list(self._held):
            twin = self._twin(claim)
            if twin is None or not twin.state.is_finished():
                continue
            self._held.remove(claim)
            for epoch, value in twin.intermediate_values.items():
                claim.trial_in_optuna.report(value, epoch)
            claim.trial_in_optuna.set_user_attr(TWIN, twin.number)
            outcome = OUTCOMES[twin.state]
            value = twin.value if outcome is State.DONE else None
            self.tell(claim, outcome, value, twin.user_attrs.get(ERROR, ""), ANSWER in twin.user_attrs)

    def _release_orphans(self) -> None:
        for name in self.arms:
            for trial in self.trials(name):
                if trial.state == TrialState.RUNNING and not self.drivers.alive(trial.user_attrs.get(DRIVER, "")):
                    optuna_private.put_back(self.arms[name], trial)


def _epochs(trial: SearchTrial) -> int:
    """Return the epochs in a trial's configuration; 1 where it has none, or what is not a number."""
    epochs = trial.config.get("epochs")
    return int(epochs) if isinstance(epochs, int | float) and math.isfinite(epochs) else 1
