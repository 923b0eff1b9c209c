"""Every sampler and scheduler that a search can name is the one of that name; none falls through to another."""

import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import GPSampler, QMCSampler, RandomSampler, TPESampler

from mixlab.search.samplers import build_pruner, build_sampler
from mixlab.spec.search import SAMPLERS, SCHEDULERS

OF_SAMPLERS = {"tpe": TPESampler, "gp": GPSampler, "qmc": QMCSampler, "random": RandomSampler, "grid": RandomSampler}
OF_SCHEDULERS = {
    "none": NopPruner,
    "asha": SuccessiveHalvingPruner,
    "hyperband": HyperbandPruner,
    "median": MedianPruner,
}


def test_every_sampler_is_the_one_of_its_name():
    assert {name: type(build_sampler(name, "study", 0, 20)) for name in SAMPLERS} == OF_SAMPLERS
    with pytest.raises(KeyError, match="cmaes"):
        build_sampler("cmaes", "study", 0, 20)


def test_every_scheduler_is_the_one_of_its_name():
    assert {name: type(build_pruner(name, 27)) for name in SCHEDULERS} == OF_SCHEDULERS
    with pytest.raises(KeyError, match="pbt"):
        build_pruner("pbt", 27)
