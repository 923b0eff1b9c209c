"""The private parts of Optuna that Mixlab depends on, in the version that ``constraints.txt`` pins.

Each has a test in ``tests/mixlab/search/test_optuna_private.py`` that names that version when it fails.
"""

import optuna
from optuna.trial import FrozenTrial, TrialState


def put_back(study: optuna.Study, trial: optuna.Trial | FrozenTrial) -> None:
    """Make a running trial wait again, with the values that it has drawn so far."""
    study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


def go_on(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """Return a waiting trial as one that runs again.

    ``study.ask()`` would not do: some storages do not look for an interrupted trial among those before a newer one.
    """
    study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
    return optuna.Trial(study, trial._trial_id)
