"""The private parts of Optuna that ``mixlab.search.optuna_private`` touches are as they were."""

import optuna
import pytest
from optuna.trial import TrialState

from mixlab.search import optuna_private
from tests.pins import pinned


def test_a_trial_that_ran_waits_and_goes_on_with_what_it_has_drawn():
    study = optuna.create_study()
    trial = study.ask()
    drawn = trial.suggest_float("x", 0, 1)
    trial.report(0.5, 1)
    try:
        optuna_private.put_back(study, trial)
        assert study.trials[0].state == TrialState.WAITING
        again = optuna_private.go_on(study, study.trials[0])
    except AttributeError as error:
        pytest.fail(
            f"a private part of optuna {pinned('optuna')} is not in {optuna.__version__} ({error}): "
            "change search/optuna_private.py"
        )
    assert study.trials[0].state == TrialState.RUNNING
    assert again.suggest_float("x", 0, 1) == drawn
    assert study.trials[0].intermediate_values == {1: 0.5}
    study.tell(again, 1.0)
    assert study.trials[0].state == TrialState.COMPLETE
