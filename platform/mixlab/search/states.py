"""The trials of a search so far: their states in the platform's words, and how many more a cell gets."""

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from mixlab.search.trial_store import TrialStore, exists
from mixlab.spec import space
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.search import Search
from mixlab.spec.state import State
from mixlab.spec.study import Cell

OUTCOMES = {TrialState.COMPLETE: State.DONE, TrialState.PRUNED: State.PRUNED, TrialState.FAIL: State.FAILED}
STATES = {state: outcome for outcome, state in OUTCOMES.items()}
WORDS = {**OUTCOMES, TrialState.RUNNING: State.RUNNING, TrialState.WAITING: State.INTERRUPTED}


def begun(search: Search, cell: Cell, train: CompleteTrainable, url: str) -> list[FrozenTrial]:
    """Return the trials of a cell that were begun; create neither a file nor a study."""
    if not exists(url):
        return []
    try:
        name = search.history_name(cell, train)
        study = optuna.load_study(study_name=name, storage=TrialStore(url, search.name).storage)
    except KeyError:
        return []
    return study.get_trials(deepcopy=False)


def budget(search: Search, cell: Cell, train: CompleteTrainable, trials: Sequence[FrozenTrial]) -> int:
    """Return the number of trials of a cell, with those that it has; a grid ends when all its points were tried."""
    if search.sampler != "grid":
        return search.per_cell
    return min(search.per_cell, len(trials) + len(points_left(search, cell, train, trials)))


def points_left(
    search: Search, cell: Cell, train: CompleteTrainable, trials: Sequence[FrozenTrial]
) -> list[space.Point]:
    """Return the points of the grid that none of the cell's ``trials`` has, whichever sampler proposed these."""
    tried = {frozenset(trial.params.items()) for trial in trials}
    points = space.grid(search.space, train.resolve(search.config(cell, {})).flat)
    return [point for point in points if frozenset(point.items()) not in tried]
