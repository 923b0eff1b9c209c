"""Every sampler and scheduler that a search can name is the one of that name; none falls through to another."""

from typing import Any

import optuna
import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import GPSampler, QMCSampler, RandomSampler, TPESampler

from mixlab import BadInput
from mixlab.search import samplers
from mixlab.search.samplers import build_pruner, build_sampler, require_sampler
from mixlab.spec.search import SAMPLERS, SCHEDULERS

OF_SAMPLERS = {"tpe": TPESampler, "gp": GPSampler, "qmc": QMCSampler, "random": RandomSampler, "grid": RandomSampler}
ASHA = SuccessiveHalvingPruner
OF_SCHEDULERS = {"none": NopPruner, "asha": ASHA, "hyperband": HyperbandPruner, "median": MedianPruner}


def test_every_sampler_and_every_scheduler_is_the_one_of_its_name():
    assert {name: type(build_sampler(name, "study", 0, 20)) for name in SAMPLERS} == OF_SAMPLERS
    tpe: Any = build_sampler("tpe", "study", 0, 20)
    assert (tpe._n_startup_trials, tpe._multivariate, tpe._group, tpe._constant_liar) == (6, True, True, True)
    with pytest.raises(KeyError, match="cmaes"):
        build_sampler("cmaes", "study", 0, 20)
    assert {name: type(build_pruner(name, 27)) for name in SCHEDULERS} == OF_SCHEDULERS
    with pytest.raises(KeyError, match="pbt"):
        build_pruner("pbt", 27)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda draws: None, "^the sampler 'tpe' must be a sampler of Optuna, got None$"),
        (lambda draws: [][0], "^the sampler 'tpe' cannot be made: IndexError: list index out of range"),
        (
            lambda: RandomSampler(),
            "^the sampler 'tpe' cannot be made: TypeError: .* takes 0 positional arg",
        ),
    ],
)
def test_a_sampler_that_cannot_be_made_is_refused_before_anything_starts(make, sentence, monkeypatch):
    monkeypatch.setattr(samplers, "tpe", make)
    with pytest.raises(BadInput, match=sentence):
        require_sampler("tpe")


def test_the_draws_of_a_trial_and_how_many_precede_the_model_follow_from_its_place_in_the_search(monkeypatch):
    """A search that an earlier version began goes on with the points that it would have drawn."""
    monkeypatch.setattr(samplers, "tpe", lambda draws: draws)

    def draws(study: str, number: int, per_arm: int = 30) -> Any:
        return build_sampler("tpe", study, number, per_arm)

    assert draws("study", 0) == samplers.Draws(seed=1411930555, arm_seed=1798244943, first=10)
    assert draws("study", 1).seed != draws("study", 0).seed != draws("other", 0).seed
    assert draws("study", 1).arm_seed == draws("study", 0).arm_seed != draws("other", 0).arm_seed
    assert [draws("study", 0, per_arm).first for per_arm in (2, 9, 11, 12, 30, 300)] == [3, 3, 3, 4, 10, 10]


def stopped_at(name: str, epochs: int, earlier: int) -> int | None:
    """Return the epoch after which a bad trial is stopped that follows as many good ones that ran to their end."""
    pruner = build_pruner(name, epochs)
    study = optuna.create_study(study_name="toy", direction="maximize", pruner=pruner)  # Hyperband draws by its name
    for value in [9.0] * earlier + [1.0]:
        trial = study.ask()
        for epoch in range(1, epochs + 1):
            trial.report(value, epoch)
            if trial.should_prune():
                return epoch
        study.tell(trial, value)
    return None


@pytest.mark.parametrize(
    ("name", "epochs", "earlier", "epoch"),
    [
        ("none", 32, 20, None),
        ("median", 32, 4, 2),
        ("median", 32, 3, None),  # too few to have a median
        ("median", 15, 4, 1),
        ("median", 160, 4, 10),
        ("asha", 15, 1, 1),
        ("asha", 160, 1, 10),
    ],
)
def test_a_bad_trial_is_stopped_after_a_sixteenth_of_its_epochs(name, epochs, earlier, epoch):
    assert stopped_at(name, epochs, earlier) == epoch


@pytest.mark.parametrize("epochs", [8, 27, 32])
def test_hyperband_stops_a_bad_trial_before_its_end(epochs):
    assert stopped_at("hyperband", epochs, 60) < epochs


def test_one_trial_in_four_continues_at_a_rung():
    study = optuna.create_study(direction="maximize", pruner=build_pruner("asha", 16))
    stopped = []
    for value in (9, 1, 2, 3, 4, 5, 8, 7, 8.5):
        trial = study.ask()
        trial.report(value, 1)
        stopped.append(trial.should_prune())
    # The best continues; from eight on the second best does, too, and at the eighth that is still another.
    assert stopped == [False, *7 * [True], False]
