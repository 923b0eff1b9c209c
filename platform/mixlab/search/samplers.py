"""Optuna's part of a search: the sampler that proposes trials, and the rule that stops a trial early."""

import warnings

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from mixlab.spec.trial import digest

REDUCTION = 4  # for ASHA and Hyperband: one in this many trials continues at each rung


def build_sampler(name: str, study: str, number: int, per_arm: int) -> BaseSampler:
    """Return the sampler for one trial.

    Args:
        name: one of ``search.SAMPLERS``; ``grid`` takes its points from the queue, and needs none of its own.
        study: the name of the arm's study, the source of randomness with ``number``, so that a driver that starts again
            neither repeats its draws nor changes them.
        number: the number of the trial within its arm.
        per_arm: the arm's budget; a third of it, 10 at most, is drawn at random before a model is fitted.
    """
    seed = int(digest([study, number]), 16) % 2**32
    first = min(10, max(3, per_arm // 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "tpe":
            return TPESampler(seed=seed, n_startup_trials=first, multivariate=True, group=True, constant_liar=True)
        if name == "gp":
            return GPSampler(seed=seed, n_startup_trials=first, warn_independent_sampling=False)
        if name == "qmc":
            # Each arm has one sequence: its seed must not depend on the trial.
            seed = int(digest([study]), 16) % 2**32
            return QMCSampler(
                seed=seed, scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False
            )
        return RandomSampler(seed=seed)


def build_pruner(name: str, epochs: int) -> BasePruner:
    """Return the rule that stops trials of one arm.

    The rules are Optuna's and not those of ``ray.tune.schedulers``, which live in the driver's memory: they
    would forget the rungs when a driver is killed, could not see a second driver, and would compare arms with
    one another. Ray Tune asks through its scheduler interface (``mixlab.search.searcher``).

    Args:
        name: one of ``search.SCHEDULERS``.
        epochs: the number of reports of a trial that is not stopped.
    """
    first = max(1, epochs // REDUCTION**2)  # epochs before a trial can be stopped
    if name == "asha":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=REDUCTION)
    if name == "hyperband":
        return HyperbandPruner(min_resource=first, max_resource=max(epochs, first), reduction_factor=REDUCTION)
    if name == "median":
        return MedianPruner(n_startup_trials=4, n_warmup_steps=first)
    return NopPruner()
