"""What is said of a race: the seeds that each configuration of an arm got, and why it got no more."""

import statistics
from collections import Counter

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from analysis.records.search_trials import Tuned
from mixlab.messages import counted
from mixlab.spec.search import RACE, TWIN


def race_table(arm: Tuned) -> pd.DataFrame:
    """Return one row of text a trial, in their order: its number, seeds, mean over them, and why it got no more."""
    rows = []
    for trial in arm.trials():
        values = _values(trial)
        mean = f"{statistics.fmean(values):.4g}" if values else "–"
        rows.append([str(trial.number), str(len(values)), mean, _why(arm, trial)])
    return pd.DataFrame(rows, columns=["trial", "seeds", "mean", "why no more"])


def race_sentence(arm: Tuned, seeds: int) -> str:
    """Return what the race of an arm has cost, each trial having at most so many seeds, and how its trials ended."""
    trials = arm.trials()
    spent = sum(len(_values(trial)) for trial in trials)
    ends = Counter(_why(arm, trial).partition(":")[0] for trial in trials)
    words = ", ".join(f"{count} {end}" for end, count in ends.items())
    whole = f"{seeds * len(trials)} seeds were trained for {counted(len(trials), 'trial')}"
    return f"{arm.name}: {spent} of {whole}: {words}."


def _values(trial: FrozenTrial) -> list[float]:
    return trial.user_attrs.get(RACE, {}).get("values", [])


def _why(arm: Tuned, trial: FrozenTrial) -> str:
    best = arm.best
    if best is not None and trial.number == best.number:
        return "won"
    if TWIN in trial.user_attrs:
        return "took the result of an earlier trial just like it"
    stopped = trial.user_attrs.get(RACE, {}).get("out") or "stopped early in its first seed"
    ends = {TrialState.COMPLETE: "had all seeds", TrialState.PRUNED: stopped, TrialState.FAIL: "failed"}
    return ends.get(trial.state, "not over")
