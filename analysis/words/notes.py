"""What makes the cells of a table uneven or incomplete, a sentence each."""

from collections import Counter

import pandas as pd

from analysis.records.runs import CONFIG, done, rule_of
from analysis.statistics.pairs import finite_values
from analysis.statistics.tables import LevelTable
from analysis.statistics.verdicts import DIFFERS, WIN, WORSE
from analysis.words.captions import DIGESTS, changed, seeds_text, shortened
from mixlab.messages import counted
from mixlab.spec.metric import rule_in_words
from mixlab.spec.trial import State

UNSTATED = "read off by a rule that it does not state"
NOT_YET = (
    "Not every seed of the study is done yet: p and the verdict hold once all are; to stop because of what they show "
    "in between claims too much."
)
MOST_FAILURES = 10  # the most lines under one table


def notes(level: LevelTable) -> list[str]:
    """Return a sentence for each thing that makes the cells of a table uneven or incomplete."""
    finished = done(level.runs)
    of_table = f" of {level.name}" if level.family.tables > 1 else ""  # a remark may be shown below all tables
    return [
        *uneven_seeds(level),
        *_uneven_searches(level),
        *_uneven_origins(finished, of_table),
        *_uncommitted(finished, of_table),
        *_slowdowns(finished),
        *_failures(level),
        *_unfinished(level),
        *published_rules(level),
        *_without_value(finished, level.metric),
        *_wide_intervals(level),
    ]


def uneven_seeds(level: LevelTable) -> list[str]:
    """Return the sentence that a gain need not be the difference of two means; empty where the seeds are even."""
    counts = level.table["n"]
    alone = (level.table["pairs"] < counts) & (counts.index != level.baseline)
    if level.family.budget or not (counts.nunique() > 1 or alone.any()):
        return []
    differ = "n" if counts.nunique() > 1 else "their seeds"
    return [f"The arms differ in {differ}; a gain uses only the seeds that both arms have."]


def _uneven_searches(level: LevelTable) -> list[str]:
    """Return a sentence where the best of more trials was taken in some arms than in others."""
    if len(set(level.tried.values())) < 2:
        return []
    counts = ", ".join(f"{arm!r} {count}" for arm, count in level.tried.items())
    return [
        f"The arms show the best of different numbers of a search's trials: {counts}. Their gains may be due to that."
    ]


def _uneven_origins(finished: pd.DataFrame, of_table: str) -> list[str]:
    """Return a sentence for each property in which the runs differ, from which their results may differ too."""
    lines = []
    for column in ("epochs", "commit", "patch", "data", "hardware", "versions"):
        what = DIGESTS.get(column, column)
        if _differ(finished, column):
            shown = shortened if column in DIGESTS else str
            values = Counter(shown(str(value)) for value in finished[column]).items()
            parts = ", ".join(f"{value or 'unknown'} in {counted(count, 'run')}" for value, count in values)
            lines.append(f"The runs{of_table} differ in {what}: {parts}. Differences between them may be due to that.")
    return lines


def _differ(finished: pd.DataFrame, column: str) -> bool:
    """Return whether runs differ in a column; in their data, only if they were to train on one part of the images."""
    parts = [name for name in map(str, finished) if column == "data" and name.startswith(f"{CONFIG}subset.")]
    groups = finished.groupby(parts)[column] if parts else [("", finished[column])]
    return any(values.nunique(dropna=False) > 1 for _, values in groups)


def _uncommitted(finished: pd.DataFrame, of_table: str) -> list[str]:
    dirty = int(changed(finished).sum())
    some = f"{dirty} of {counted(len(finished), 'run')}{of_table}"
    whose = "Every run" if dirty == len(finished) else some
    return [f"{whose} had uncommitted changes, which no commit holds."] if dirty else []


def _slowdowns(finished: pd.DataFrame) -> list[str]:
    """Return a sentence for each means to make the steps faster that has made them slower."""
    lines = []
    for metric, what in (("compile_speedup", "Compilation"), ("graph_speedup", "A CUDA graph")):
        speedup = finished.get(f"metric.{metric}", pd.Series(dtype=float)).median()
        if speedup < 1:
            slower = f"{what} slowed the steps down to {speedup:.2f} times their speed without it"
            lines.append(f"{slower} (median of runs).")
    return lines


def _failures(level: LevelTable) -> list[str]:
    failed = level.runs[level.runs["status"] == State.FAILED.value]
    where = f"{level.name}, " if level.levels else ""
    shown = failed[:MOST_FAILURES]
    cells = zip(*(shown[column].tolist() for column in ("arm", "seed", "error")), strict=True)
    lines = [f"Failed: {where}{arm!r}, seed {seed}: {error or 'no error was recorded'}" for arm, seed, error in cells]
    return lines + ([f"Failed: {len(failed) - MOST_FAILURES} more."] if len(failed) > MOST_FAILURES else [])


def _unfinished(level: LevelTable) -> list[str]:
    """Return the cells that are not over, and what follows for p."""
    lines = []
    for state in (State.RUNNING, State.INTERRUPTED, State.PENDING):
        if cells := _seeds_by_arm(level.runs[level.runs["status"] == state.value]):
            lines.append(f"{state.value.capitalize()}: {cells}.")
    return [*lines, NOT_YET] if level.family.unfinished else lines


def _without_value(finished: pd.DataFrame, metric: str) -> list[str]:
    cells = _seeds_by_arm(finished[finite_values(finished, metric).isna()])
    return [f"Finished without a finite value of {metric}, and not counted: {cells}."] if cells else []


def _wide_intervals(level: LevelTable) -> list[str]:
    """Return the sentence on arms that are told apart although their intervals hold zero; empty where there is none."""
    told = level.table[level.table["verdict"].isin([WIN, WORSE, DIFFERS])]
    arms = ", ".join(repr(str(arm)) for arm in told.index[(told["gain_low"] <= 0) & (told["gain_high"] >= 0)])
    why = (
        "A t interval assumes normal differences, and a seed that stands out widens it; the test that decides does not"
    )
    return [f"Told apart although the interval holds 0: {arms}. {why}."] if arms else []


def _seeds_by_arm(runs: pd.DataFrame) -> str:
    """Return the arms and seeds of some runs, such as ``'+ lam' seeds 0–2; '+ l_s' seed 1``."""
    by_arm = runs.groupby("arm", sort=False)["seed"]
    return "; ".join(f"{str(arm)!r} {seeds_text(seeds)}" for arm, seeds in by_arm)


def published_rules(level: LevelTable) -> list[str]:
    """Return a sentence for each rule, other than ours, by which the paper's numbers were read off."""
    if "published_rule" not in level.table:
        return []
    ours = rule_of(level.declared, level.metric)
    theirs = dict.fromkeys(level.table["published_rule"].dropna())
    said = {
        rule: f"the {rule_in_words(rule, data='test set')}" if rule else UNSTATED for rule in theirs if rule != ours
    }
    return [f"The paper's numbers are {words}; ours are not." for words in said.values()]
