"""The influence of a search's parameters on its objective, in the trials of an arm.

Nothing is claimed from the importance of a parameter alone: fANOVA distributes whatever variance there is, so on pure
noise some parameter has most of it. A parameter is said to matter only where a quadratic surface explains the objective
better than it explains shuffled ones, corrected over the arms.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import optuna  # optuna.importance, which loads scikit-learn, is imported when it is asked for
import pandas as pd
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.linalg import orth
from scipy.stats import t

from analysis.records.search_trials import Tuned, unit_points

EVALUATOR = "fANOVA"
PARTS = 30  # the parts of the trials that are left out in turn for an interval: each time a forest is fitted
SHUFFLES = 999
PER_PARAMETER = 5  # the number of trials below which nothing is said about parameters


@dataclass(frozen=True)
class Comparable:
    """The comparable trials of an arm: they trained to the end, or are taken at an epoch that all reached."""

    trials: list[FrozenTrial]
    values: NDArray[np.float64]  # (N,)
    epoch: int | None  # None: the last epoch

    @property
    def when(self) -> str:
        """Return when the values were taken, in words."""
        stopped = f"of complete and stopped trials, after epoch {self.epoch}"
        return "of complete trials" if self.epoch is None else stopped


def comparable(arm: Tuned) -> Comparable:
    """Return the complete trials or, if they are too few and others were stopped early, all at the shortest's epoch.

    The last value of a trial that was stopped early is never compared with that of a longer one.
    """
    complete = Comparable(arm.complete, np.array([trial.value for trial in arm.complete], dtype=float), None)
    every = [trial for trial in arm.trials(TrialState.COMPLETE, TrialState.PRUNED) if trial.intermediate_values]
    if len(arm.complete) >= wanted(arm, arm.complete) or len(every) <= len(arm.complete):
        return complete
    epoch = min(max(trial.intermediate_values) for trial in every)
    every = [trial for trial in every if epoch in trial.intermediate_values]
    return Comparable(every, np.array([trial.intermediate_values[epoch] for trial in every]), epoch)


def wanted(arm: Tuned, trials: list[FrozenTrial]) -> int:
    """Return the number of trials below which nothing is said about the parameters that all of ``trials`` have."""
    return PER_PARAMETER * len(arm.varied(trials))


@dataclass(frozen=True)
class Landscape:
    """The influence of the parameters in an arm's trials."""

    of: Comparable
    importance: pd.DataFrame  # index parameter; columns importance, low, high: 95 %, by the jackknife over trials
    left_out: list[str]  # parameters under a condition
    p: float  # tests that the parameters explain nothing; NaN with too few trials to ask


def landscape(arm: Tuned) -> Landscape:
    """Return importances by fANOVA over an arm's comparable trials, and a p of there being anything to explain."""
    of = comparable(arm)
    names, count = arm.varied(of.trials), len(of.trials)
    left_out = [name for name in arm.space if name not in names]
    if not names or count < wanted(arm, of.trials) or np.ptp(of.values) == 0:
        return Landscape(of, pd.DataFrame(columns=["importance", "low", "high"], dtype=float), left_out, float("nan"))
    rng = np.random.default_rng(0)
    whole = pd.Series(_importance(arm, of, np.arange(count)))
    part = rng.permutation(count) % PARTS
    rests = [np.flatnonzero(part != each) for each in range(min(PARTS, count))]
    found = pd.DataFrame([_importance(arm, of, rest) for rest in rests if np.ptp(of.values[rest]) > 0])
    # A bootstrap would draw some trials twice, which a forest takes for a certain value: its interval is too narrow.
    error = np.sqrt((len(found) - 1) ** 2 / len(found) * found.var())
    half = error * t.ppf(0.975, len(found) - 1)
    table = pd.DataFrame({"importance": whole, "low": (whole - half).clip(0), "high": (whole + half).clip(upper=1)})
    return Landscape(of, table.sort_values("importance", ascending=False), left_out, explained_p(arm, of, rng))


def explained_p(arm: Tuned, of: Comparable, rng: np.random.Generator) -> float:
    """Return the permutation p of the share of variance that a quadratic surface explains; NaN with too few trials."""
    design = _quadratic(unit_points(arm, of.trials).to_numpy())
    basis = orth(design)  # spans the columns, of which some may depend on others
    if len(of.values) < basis.shape[1] + 4:
        return float("nan")
    # Ranks are used because one trial that nearly diverged must not be all that there is to explain. Equal values share
    # one: their order is that of the trials, which a sampler moves through the space.
    ranks = np.asarray(pd.Series(of.values).rank(), dtype=np.float64)
    observed = _share(basis, ranks)
    shuffled = [_share(basis, rng.permutation(ranks)) for _ in range(SHUFFLES)]
    return (1 + sum(share >= observed - 1e-12 for share in shuffled)) / (SHUFFLES + 1)


def _importance(arm: Tuned, of: Comparable, picked: NDArray[np.int64]) -> dict[str, float]:
    """Return the importances of the parameters, which add up to 1, from the trials at the positions ``picked``."""
    names = arm.varied(of.trials)
    study = optuna.create_study()
    for index in picked:
        trial = of.trials[index]
        params = {name: trial.params[name] for name in names}
        distributions = {name: trial.distributions[name] for name in names}
        study.add_trial(create_trial(value=float(of.values[index]), params=params, distributions=distributions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=names)
    return {name: float(found[name]) for name in names}


def _quadratic(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for (N, P) the (N, 1 + P + P (P + 1) / 2) of a constant, each parameter and every product."""
    count = points.shape[1]
    products = [points[:, i] * points[:, j] for i in range(count) for j in range(i, count)]
    return np.column_stack([np.ones(len(points)), points, *products])


def _share(basis: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the share of the variance of (N,) values in the span of an orthonormal (N, K) basis with the constant."""
    centred = values - values.mean()
    return float(((basis.T @ centred) ** 2).sum() / (centred**2).sum())
