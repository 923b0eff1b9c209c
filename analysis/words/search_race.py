"""The race of a search in words: how many seeds each configuration of an arm got, and why no more."""

import statistics
from collections import Counter

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from analysis.records.search_trials import Tuned
from analysis.words.captions import count_text
from mixlab.spec.search import RACE, TWIN

WON, ALL = "won", "had all seeds"
EARLY = "stopped early in its first seed"
REPEATED = "took the result of an earlier trial just like it"
FAILED = "failed"
UNFINISHED = "not over"


def race_table(arm: Tuned) -> pd.DataFrame:
    """Return one row of text a trial, in their order: its number, seeds, mean over them, and why it got no more."""
    rows = [
        [str(trial.number), str(len(values)), f"{statistics.fmean(values):.4g}" if values else "–", _why(arm, trial)]
        for trial in arm.trials()
        for values in [_values(trial)]
    ]
    return pd.DataFrame(rows, columns=["trial", "seeds", "mean", "why no more"])


def race_sentence(arm: Tuned, seeds: int) -> str:
    """Return what the race of an arm has cost, each trial having at most so many seeds, and how its trials ended."""
    trials = arm.trials()
    spent = sum(len(_values(trial)) for trial in trials)
    ends = Counter(_why(arm, trial).partition(":")[0] for trial in trials)
    words = ", ".join(f"{count} {end}" for end, count in ends.items())
    whole = f"{seeds * len(trials)} seeds were trained for {count_text(len(trials), 'trial')}"
    return f"{arm.name}: {spent} of {whole}: {words}."


def _values(trial: FrozenTrial) -> list[float]:
    return list(trial.user_attrs.get(RACE, {}).get("values", []))


def _why(arm: Tuned, trial: FrozenTrial) -> str:
    best, out = arm.best, str(trial.user_attrs.get(RACE, {}).get("out", ""))
    if best is not None and trial.number == best.number:
        return WON
    if TWIN in trial.user_attrs:
        return REPEATED
    ends = {TrialState.COMPLETE: ALL, TrialState.PRUNED: out or EARLY, TrialState.FAIL: FAILED}
    return ends.get(trial.state, UNFINISHED)
