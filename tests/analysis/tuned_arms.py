"""Arms of a search over two parameters, with trials whose results are known."""

import math
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.records.search_trials import Tuned

SPACE = {
    "zeta": {"kind": "Float", "low": 0.05, "high": 2, "log": True, "step": None, "when": {}},
    "alpha": {"kind": "Float", "low": 0.1, "high": 4, "log": True, "step": None, "when": {}},
}
DISTRIBUTIONS = {name: FloatDistribution(s["low"], s["high"], log=True) for name, s in SPACE.items()}
ARMS = ("cutmix", "mixup")


def trial(params: dict[str, Any], value: float | None, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    distributions = {name: DISTRIBUTIONS[name] for name in params if name in DISTRIBUTIONS}
    if "term" in params:
        distributions["term"] = CategoricalDistribution(("s", "su"))
    seen = {1: value} if value is not None else {}
    shown = value if state != TrialState.FAIL else None
    return create_trial(state=state, value=shown, params=params, distributions=distributions, intermediate_values=seen)


def points(count: int, seed: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    ends = {name: (math.log(s["low"]), math.log(s["high"])) for name, s in SPACE.items()}
    return [{name: math.exp(rng.uniform(*both)) for name, both in ends.items()} for _ in range(count)]


def peaked(params: dict[str, float]) -> float:
    """Return an objective that is best at zeta 0.4; alpha hardly matters."""
    return 60 - 5 * math.log(params["zeta"] / 0.4) ** 2 - 0.05 * math.log(params["alpha"]) ** 2


def tuned(trials: list[FrozenTrial], name: str = "cutmix", space: dict[str, Any] = SPACE) -> Tuned:
    """Return an arm of a search, with these trials."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    return Tuned(name, study, space)
