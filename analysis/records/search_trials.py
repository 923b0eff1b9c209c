"""The arms of a search and their trials: the plan comes from MLflow, the trials from Optuna's storage.

A trial ends in one of three ways: a complete trial has a value; a pruned one was stopped early, so its last value is
only a bound on what it might have become; a failed one has none.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from analysis.records.runs import Plan, load_plan
from mixlab.errors import BadInput
from mixlab.passwords import shown
from mixlab.search.trial_store import TrialStore, best_of, file_of, standing


@dataclass(frozen=True)
class Tuned:
    """One arm of a search."""

    name: str
    study: optuna.Study
    space: dict[str, dict[str, Any]]  # by parameter that a trial of the arm has: kind, low, high, log, step, values
    role: str = ""  # of a control, with a space before it

    @property
    def shown(self) -> str:
        """Return the name as readers see it, which says that a control is one."""
        return self.name + self.role

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials that ended in one of ``states``, or all if none is given; none that was tried again."""
        found = standing(self.study.get_trials(deepcopy=False))
        return [trial for trial in found if not states or trial.state in states]

    @property
    def complete(self) -> list[FrozenTrial]:
        """Return the trials that trained to the end."""
        return self.trials(TrialState.COMPLETE)

    @property
    def best(self) -> FrozenTrial | None:
        """Return the best of the complete trials, which is the winner of the search."""
        return best_of(self.study)

    def varied(self, trials: list[FrozenTrial]) -> list[str]:
        """Return the parameters that all of ``trials`` have: one under a condition is not comparable over all."""
        return [name for name in self.space if all(name in trial.params for trial in trials)]

    def counts(self) -> dict[str, int]:
        """Return how many trials ended in each way, and how many still run or wait."""
        states = [trial.state for trial in self.trials()]
        ended = {"complete": TrialState.COMPLETE, "stopped early": TrialState.PRUNED, "failed": TrialState.FAIL}
        found = {name: states.count(state) for name, state in ended.items()}
        return {**found, "unfinished": len(states) - sum(found.values())}

    @property
    def ends(self) -> str:
        """Return the counts in words, such as ``28 complete, 11 stopped early``."""
        return ", ".join(f"{count} {how}" for how, count in self.counts().items() if count) or "none"


@dataclass(frozen=True)
class SearchRecord:
    """A search: its plan, and its arms in their order."""

    plan: Plan
    arms: list[Tuned]

    @property
    def raced(self) -> list[Tuned]:
        """Return the arms if their configurations raced for seeds, and none otherwise."""
        return self.arms if self.plan.get("racing") else []


def load_search(
    tracking_uri: str, search: str, storage: str | None = None, plan_hash: str | None = None
) -> SearchRecord:
    """Return the search as it stands.

    Args:
        search: its name, which is that of the MLflow experiment.
        storage: Optuna's storage; by default that of the plan, which lacks the password of a server's URL.
        plan_hash: the search to load where several share the name; by default the one that ran last.

    Raises:
        ValueError: no such tracking store, search, plan or storage.
    """
    plan = load_plan(tracking_uri, search, plan_hash, level="search")
    opened = _open(storage or plan["storage"], search)
    arms = []
    for name, study in plan["arms"].items():
        try:
            loaded = optuna.load_study(study_name=study, storage=opened)
        except KeyError as error:
            raise ValueError(
                f"the storage {shown(storage or plan['storage'])!r} has no Optuna study {study!r}"
            ) from error
        drawn = {key for trial in loaded.get_trials(deepcopy=False) for key in trial.params}
        space = {key: spec for key, spec in plan["space"].items() if key in drawn}
        arms.append(Tuned(name, loaded, space, " (control)" if name in plan.get("controls", ()) else ""))
    return SearchRecord(plan, arms)


def unit_points(arm: Tuned, trials: list[FrozenTrial]) -> pd.DataFrame:
    """Return a row per trial: the parameters of all on [0, 1], on their own scale; a choice is one column per value."""
    columns: dict[str, Any] = {}
    for name in arm.varied(trials):
        values, spec = [trial.params[name] for trial in trials], arm.space[name]
        if spec["kind"] == "Choice":
            columns.update({f"{name}={choice}": [float(v == choice) for v in values] for choice in spec["values"][1:]})
        else:
            columns[name] = [position(spec, value) for value in values]
    return pd.DataFrame(columns, dtype=float)


def position(spec: dict[str, Any], value: float) -> float:
    """Return where a number lies in its range: 0 at its low end, 1 at its high end, on its own scale."""
    low, high = float(spec["low"]), float(spec["high"])
    if spec["log"]:
        low, high, value = np.log(low), np.log(high), np.log(value)
    return (value - low) / (high - low)


def _open(storage: str, search: str) -> BaseStorage:
    """Return Optuna's storage; ``BadInput`` if it cannot be opened or is a missing file, which opening would create."""
    file = file_of(storage)
    if file is not None and not os.path.isfile(file):
        raise BadInput(f"no trials at {str(file)!r}: name Optuna's storage with --optuna-storage")
    return TrialStore(storage, search, reading=True).storage
