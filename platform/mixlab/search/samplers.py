"""Optuna's part of a search: the sampler that proposes trials, and the rule that stops a trial early."""

import pkgutil
import warnings
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from mixlab.errors import refused, require
from mixlab.spec.search import SAMPLERS
from mixlab.spec.trial import digest

REDUCTION = 4  # for ASHA and Hyperband: one in this many trials continues at each rung


@dataclass(frozen=True)
class Draws:
    """The randomness of one proposal; a driver that starts again neither repeats its draws nor changes them."""

    seed: int  # differs from trial to trial
    arm_seed: int  # the same for all trials of the arm, for a sampler that follows one sequence
    first: int  # how many trials are drawn at random before a model is fitted


def build_sampler(name: str, study: str, number: int, per_arm: int) -> BaseSampler:
    """Return a sampler by its name in ``search.SAMPLERS``, for one trial: the ``number`` of its arm's ``study``.

    Of the arm's budget, a third, 10 at most, is drawn at random before a model is fitted.
    """
    draws = Draws(_seed(study, number), _seed(study), first=min(10, max(3, per_arm // 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return pkgutil.resolve_name(SAMPLERS[name])(draws)


def require_sampler(name: str) -> None:
    """Raise ``BadInput`` unless the sampler of this name can be made."""
    with refused(f"the sampler {name!r} cannot be made"):
        sampler = build_sampler(name, "", 0, 0)
    require(isinstance(sampler, BaseSampler), f"the sampler {name!r}", "a sampler of Optuna", sampler)


def _seed(*source: Any) -> int:
    return int(digest([*source]), 16) % 2**32


def tpe(draws: Draws) -> BaseSampler:
    """Return the tree-structured Parzen estimator, which sees trials that still run as bad ones."""
    return TPESampler(seed=draws.seed, n_startup_trials=draws.first, multivariate=True, group=True, constant_liar=True)


def gp(draws: Draws) -> BaseSampler:
    """Return the Gaussian process."""
    return GPSampler(seed=draws.seed, n_startup_trials=draws.first, warn_independent_sampling=False)


def qmc(draws: Draws) -> BaseSampler:
    """Return the scrambled Sobol sequence, one for each arm, beside which a parameter under a condition is random."""
    return QMCSampler(
        seed=draws.arm_seed,
        scramble=True,
        independent_sampler=RandomSampler(seed=draws.seed),
        warn_independent_sampling=False,
        warn_asynchronous_seeding=False,
    )


def random(draws: Draws) -> BaseSampler:
    """Return independent draws."""
    return RandomSampler(seed=draws.seed)


def build_pruner(name: str, epochs: int) -> BasePruner:
    """Return the rule that stops trials of one arm.

    The rules are Optuna's and not those of ``ray.tune.schedulers``, which live in the driver's memory: they
    would forget the rungs when a driver is killed, could not see a second driver, and would compare arms with
    one another. Ray Tune asks through its scheduler interface (``mixlab.cluster.schedule``). A trial that is not
    stopped reports so many ``epochs``.
    """
    first = max(1, epochs // REDUCTION**2)  # epochs before a trial can be stopped
    built = {
        "none": NopPruner(),
        "asha": SuccessiveHalvingPruner(min_resource=first, reduction_factor=REDUCTION),
        "hyperband": HyperbandPruner(first, max_resource=max(epochs, first), reduction_factor=REDUCTION),
        "median": MedianPruner(n_startup_trials=4, n_warmup_steps=first),
    }
    return built[name]
