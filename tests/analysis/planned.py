"""Plans of studies, and the rows and tables of their runs from values by arm and seed."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.statistics.tables import LevelTable, level_tables
from mixlab.spec.metric import Metric

ARMS = ("baseline", "+ lam", "+ l_s")
METRICS = (
    Metric("test_top1", "%", 2, higher_is_better=True, rules=("median10", "last", "best"), label="top-1 accuracy"),
    Metric("train_loss", "nats", 4, higher_is_better=False, label="training loss"),
)
VALUE = "metric.test_top1_median10"
Values = Mapping[tuple[str, int], float] | Callable[[str, int], float]  # the value of each arm and seed


def make_plan(
    study: str = "ablation_tiny",
    arms: tuple[str, ...] = ARMS,
    seeds: int = 3,
    factors: Mapping[str, tuple[Any, ...]] | None = None,
    **parts: Any,
) -> dict[str, Any]:
    """Return the plan of a study, with what else it holds in ``parts``."""
    factors = {"mixer": ("cutmix",)} if factors is None else factors
    trials = []
    for levels in itertools.product(*factors.values()):
        for arm, seed in itertools.product(arms, range(seeds)):
            named = dict(zip(factors, levels, strict=True))
            key = hashlib.sha256(f"{named}{arm}{seed}".encode()).hexdigest()[:12]
            trials.append({"key": key, "arm": arm, "levels": named, "seed": seed})
    return {
        "study": study,
        "preset": "quick",
        "factors": list(factors),
        "arms": list(arms),
        "baseline": arms[0],
        "metric": "test_top1_median10",
        "metrics": [metric.json() for metric in METRICS],
        "trials": trials,
        **parts,
    }


def planned_runs(plan: Mapping[str, Any], values: Values, **columns: Any) -> pd.DataFrame:
    """Return the rows of ``load_runs`` with values of the study's metric; a run without one is pending."""
    trials = [{**trial, **{f"factor.{k}": v for k, v in trial["levels"].items()}} for trial in plan["trials"]]
    frame = pd.DataFrame(trials).drop(columns="levels")
    value_of = values if callable(values) else lambda *cell: values.get(cell)
    found = [value_of(arm, seed) for arm, seed in zip(frame["arm"], frame["seed"], strict=True)]
    same = {
        "error": "",
        "commit": "0123456789abcdef",
        "dirty": False,
        "patch": "none",
        "data": "feedc0de",
        "hardware": "a CPU",
        "versions": "torch 2",
        "epochs": 20,
        "run_id": "r",
        "config.dataset": "cifar10",
        "config.backbone": "resnet20",
    }
    frame["status"] = ["pending" if value is None else "done" for value in found]
    frame[f"metric.{plan['metric']}"] = np.array(found, dtype=float)
    return frame.assign(**{**same, **columns})


def lose(runs: pd.DataFrame, arm: str, **levels: str) -> pd.DataFrame:
    """Return the runs without a value in those of an arm, at some levels."""
    lost = runs["arm"] == arm
    for factor, level in levels.items():
        lost &= runs[f"factor.{factor}"] == level
    return runs.assign(**{VALUE: runs[VALUE].mask(lost)})


def tables_of(
    values: Values,
    arms: tuple[str, ...] = ARMS,
    seeds: int = 3,
    factors: Mapping[str, tuple[Any, ...]] | None = None,
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda runs: runs,
    **parts: Any,
) -> list[LevelTable]:
    """Return the tables of a study, once ``change`` has been made to its runs; the rest is as for ``make_plan``."""
    plan = make_plan(arms=arms, seeds=seeds, factors=factors, **parts)
    return level_tables(change(planned_runs(plan, values)), plan)


def curves_of(levels: Iterable[LevelTable]) -> pd.DataFrame:
    """Return curves of one epoch, in which all runs have the same value."""
    return pd.concat([level.runs.assign(epoch=1, value=10.0) for level in levels])
