"""Says the states of Optuna's trials in the platform's words, and reads those of a search without beginning it."""

import optuna
from optuna.trial import TrialState

from mixlab.search.trial_store import TrialStore, exists
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.search import Search
from mixlab.spec.state import State
from mixlab.spec.study import Cell

OUTCOMES = {TrialState.COMPLETE: State.DONE, TrialState.PRUNED: State.PRUNED, TrialState.FAIL: State.FAILED}
STATES = {state: outcome for outcome, state in OUTCOMES.items()}


def states_of(study: optuna.Study) -> list[State]:
    """Return the state of every trial of an Optuna study, by number."""
    words = {**OUTCOMES, TrialState.RUNNING: State.RUNNING, TrialState.WAITING: State.INTERRUPTED}
    return [words[trial.state] for trial in study.get_trials(deepcopy=False)]


def begun(search: Search, cell: Cell, train: CompleteTrainable, url: str) -> list[State]:
    """Return the states of the trials of a cell that were begun; create neither a file nor a study."""
    if not exists(url):
        return []
    try:
        name = search.history_name(cell, train)
        return states_of(optuna.load_study(study_name=name, storage=TrialStore(url, search.name).storage))
    except KeyError:
        return []
