"""The private parts of Optuna that Mixlab depends on, as of the version that ``constraints.txt`` pins.

Each has a test in ``tests/mixlab/search/test_optuna_private.py`` that names that version when it fails.
"""

import optuna
from optuna.trial import FrozenTrial, TrialState


def id_of(trial: optuna.Trial | FrozenTrial) -> int:
    """Return a trial's number in its storage, over all studies."""
    return int(trial._trial_id)


def put_back(study: optuna.Study, trial_id: int) -> None:
    """Let a trial that runs wait again, with what it has drawn so far."""
    study._storage.set_trial_state_values(trial_id, TrialState.WAITING)


def go_on(study: optuna.Study, trial_id: int) -> optuna.Trial:
    """Return a trial that waits, running again.

    Not by ``study.ask()``: not every storage looks for an interrupted trial among those before a newer one.
    """
    study._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    return optuna.Trial(study, trial_id)
