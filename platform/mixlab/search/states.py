"""Says the states of Optuna's trials in the platform's words, and reads those of a search without beginning it."""

import optuna
from optuna.trial import FrozenTrial, TrialState

from mixlab.search.trial_store import TrialStore, exists
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
