"""A study of the toy whose seeds are added until its comparisons are decided, and its rounds without Ray."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.report import decide
from mixlab import Arm, Study
from mixlab.launching.sequential import Rounds
from mixlab.spec.complete import complete
from mixlab.spec.study import FIRST_ROUND, Trial
from mixlab.spec.study_plan import study_plan
from tests.toy import Toy

TRAIN = complete(Toy())
BUDGET = 16
ARMS = (Arm("plain", {}), Arm("real", {"lift": 2.0}), Arm("null", {"lift": 0.0, "fault": 9}))


def study_of(arms: tuple[Arm, ...] = ARMS, budget: int = BUDGET) -> Study:
    return Study(name="toy", base={}, arms=arms, seeds=range(budget), sequential=True)


def rounds_of(study: Study, rule: Any = decide, first: int = FIRST_ROUND) -> Rounds:
    trials = study.trials(TRAIN)
    return Rounds(study_plan(study, trials, "paper", TRAIN), trials, rule, first)


def simulated(trials: list[Trial] | tuple[Trial, ...], seed: int = 3) -> dict[str, float]:
    """Return a result for every trial: "real" is better by two standard deviations of a difference."""
    rng = np.random.default_rng(seed)
    return {trial.key: 70 + rng.normal(0, 0.5**0.5) + 2 * (trial.arm == "real") for trial in trials}


def asked_of(rounds: Rounds, values: Mapping[str, float]) -> list[Trial]:
    """Run until nothing is due; return every trial that was asked for."""
    while due := rounds.due():
        rounds.results[due[0].key] = values[due[0].key]
    return rounds.asked


def seeds_by_arm(trials: list[Trial]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for trial in trials:
        found.setdefault(trial.arm, []).append(trial.seed)
    return found
