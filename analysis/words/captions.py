"""The text that a reader needs besides the numbers: the metric's rule, the runs' provenance, and what is uneven."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from analysis.records.runs import done, rule_of
from analysis.statistics.pairs import finite_values
from analysis.statistics.tables import LevelTable
from mixlab.messages import counted
from mixlab.spec.epoch import THEN
from mixlab.spec.metric import Metric, rule_in_words
from mixlab.spec.trial import State

UNSTATED = "read off by a rule that it does not state"
NOT_YET = (
    "Not every seed of the study is done yet: p and the verdict hold once all are; to stop because of what they show "
    "in between claims too much."
)
MOST_FAILURES = 10  # the most lines under one table
DIGESTS = {"commit": "commit", "patch": "uncommitted changes", "data": "data fingerprint"}  # and what they are called
MOST_DIGESTS = 4  # the most fingerprints that are listed; a study of subsets of the images has one a subset
DIGITS = 12  # digits of a digest that are shown


def metric_text(declared: Metric, name: str, epochs: Iterable[int]) -> str:
    """Return the metric and its rule in words, such as ``top-1 accuracy, %, median of the last 10 epochs``.

    The ``name`` is the logged one, e.g. ``test_top1_median10``; a median over fewer epochs than ten says so.
    """
    rule, lengths = rule_of(declared, name), sorted(set(epochs), reverse=True)
    said = [rule_in_words(rule, count) for count in lengths] or [rule_in_words(rule)] if rule else []
    parts = [declared.label, declared.unit, " or ".join(dict.fromkeys(said))]
    lower = " (lower is better)" if declared.higher_is_better is False else ""
    return ", ".join(part for part in parts if part) + lower


def label_text(declared: Metric) -> str:
    """Return the label of an axis, such as ``top-1 accuracy, %``."""
    return ", ".join(part for part in (declared.label, declared.unit) if part)


def unit(declared: Metric) -> str:
    """Return the unit of a gain: percentage points for a metric in percent, else its own unit, or its label."""
    return "percentage points" if declared.unit == "%" else declared.unit or declared.label


def provenance_text(*levels: LevelTable) -> str:
    """Return data set, backbone, epochs, n, seeds, commit and data fingerprint of the runs of one or several tables."""
    planned = pd.concat([level.runs for level in levels])
    runs = done(planned)
    epochs = _values(runs, "epochs")
    data = _digests(runs, "data")
    fingerprints = listed(data) if len(data) <= MOST_DIGESTS else f"of {len(data)} fingerprints"
    parts = [
        _values(runs, "config.dataset"),
        *(name for name in _distinct(runs, "config.folder") if name != "None"),
        *_parts_of_the_data(runs),
        *(f"then {name}" for name in _distinct(runs, "config.retrain.dataset") if name != "None"),
        _values(runs, "config.backbone"),
        counted(epochs, "epoch") if epochs else "",
        f"n = {span_text(int(n) for level in levels for n in level.table['n'])}",
        seeds_text(planned["seed"]),
        _commits(runs),
        f"data {fingerprints}" if data else "",
    ]
    return ", ".join(filter(None, parts)) + "."


def hardware_text(*levels: LevelTable) -> str:
    """Return the sentence on what trained the runs, with a space behind it; empty where no run says."""
    machines = _distinct(done(pd.concat([level.runs for level in levels])), "hardware")
    return "The runs differ in hardware. " if len(machines) > 1 else f"Trained on {machines[0]}. " if machines else ""


def _parts_of_the_data(runs: pd.DataFrame) -> list[str]:
    """Return e.g. ``only 500 training images`` where the data set was not read whole."""
    found = []
    for what, name in (("training", "train"), ("test", "test")):
        if counts := [count for count in _distinct(runs, f"config.{name}_images") if count != "None"]:
            found.append(f"only {counted(' or '.join(counts), f'{what} image')}")
    return found


def _commits(runs: pd.DataFrame) -> str:
    """Return e.g. ``commits a1b2 and c3d4 (2 of 6 runs begun at one and resumed at another)``."""
    commits = _digests(runs, "commit")
    named = f"{'commits' if len(commits) > 1 else 'commit'} {listed(commits) or 'unknown'}"
    resumed = runs["commit"].map(lambda commit: THEN in str(commit))
    told = {"with uncommitted changes": _changed(runs), "begun at one and resumed at another": resumed}
    parts = [
        what if which.all() else f"{which.sum()} of {counted(len(runs), 'run')} {what}"
        for what, which in told.items()
        if which.any()
    ]
    return f"{named} ({'; '.join(parts)})" if parts else named


def _digests(runs: pd.DataFrame, column: str) -> list[str]:
    """Return every digest in a column once, shortened, also those of the parts of a run that was resumed."""
    parts = itertools.chain.from_iterable(value.split(THEN) for value in _distinct(runs, column))
    return list(dict.fromkeys(map(shortened, parts)))


def shortened(digest: str) -> str:
    """Return the first digits of a digest, or of that of every part of a run."""
    return THEN.join(part[:DIGITS] for part in digest.split(THEN))


def notes(level: LevelTable) -> list[str]:
    """Return a sentence for each thing that makes the cells of a table uneven or incomplete."""
    finished = done(level.runs)
    of_table = f" of {level.name}" if level.family.tables > 1 else ""  # a remark may be shown below all tables
    return [
        *_uneven_seeds(level),
        *_uneven_origins(finished, of_table),
        *_uncommitted(finished, of_table),
        *_slowdowns(finished),
        *_failures(level),
        *_unfinished(level),
        *published_rules(level),
        *_without_value(finished, level.metric),
    ]


def _uneven_seeds(level: LevelTable) -> list[str]:
    counts = level.table["n"]
    alone = (level.table["pairs"] < counts) & (counts.index != level.baseline)
    if level.family.budget or not (counts.nunique() > 1 or alone.any()):
        return []
    listed = ", ".join(f"{arm} {count}" for arm, count in counts.items())
    differ = f"in n ({listed})" if counts.nunique() > 1 else "in their seeds"
    return [f"The arms differ {differ}; a gain uses only the seeds that both arms have."]


def _uneven_origins(finished: pd.DataFrame, of_table: str) -> list[str]:
    """Return a sentence for each property in which the runs differ, by which their gains may have come about."""
    lines = []
    for column in ("epochs", "commit", "patch", "data", "hardware", "versions"):
        what = DIGESTS.get(column, column)
        if finished[column].nunique(dropna=False) > 1:
            shown = shortened if column in DIGESTS else str
            values = Counter(shown(str(value)) for value in finished[column]).items()
            parts = ", ".join(f"{value or 'unknown'} in {counted(count, 'run')}" for value, count in values)
            lines.append(f"The runs{of_table} differ in {what}: {parts}. Their gains may be due to that.")
    return lines


def _uncommitted(finished: pd.DataFrame, of_table: str) -> list[str]:
    dirty = int(_changed(finished).sum())
    some = f"{dirty} of {counted(len(finished), 'run')}{of_table}"
    whose = "Every run" if dirty == len(finished) else some
    return [f"{whose} had uncommitted changes, which no commit holds."] if dirty else []


def _changed(runs: pd.DataFrame) -> pd.Series:
    """Return whether the code of each run is known to differ from its commit, which needs a commit that is known."""
    return runs["dirty"] & (runs["commit"] != "unknown")


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
    said = {rule: f"the {rule_in_words(rule)}" if rule else UNSTATED for rule in theirs if rule != ours}
    return [f"The paper's numbers are {words}; ours are not." for words in said.values()]


def _distinct(runs: pd.DataFrame, column: str) -> list[str]:
    if column not in runs:
        return []
    return list(dict.fromkeys(str(value) for value in runs[column].dropna() if str(value)))


def _values(runs: pd.DataFrame, column: str) -> str:
    return listed(_distinct(runs, column))


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them, such as ``a, b and c``."""
    *most, last = words or [""]
    return f"{', '.join(most)} and {last}" if most else last


def capitalised(text: str) -> str:
    """Return a text as a sentence begins."""
    return text[:1].upper() + text[1:]


def span_text(numbers: Iterable[int]) -> str:
    """Return ``6`` where all numbers are 6, else the least and the greatest, such as ``3 to 6``."""
    found = sorted(numbers)
    return " to ".join(dict.fromkeys((str(found[0]), str(found[-1]))))


def seeds_text(seeds: Iterable[int]) -> str:
    """Return ``seed 5``, or ``seeds 0–2, 5`` for 0, 1, 2, 5."""
    numbers = np.unique(list(seeds))
    spans = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    ranges = ", ".join(f"{span[0]}–{span[-1]}" if len(span) > 1 else str(span[0]) for span in spans)
    return f"seed{'s' if len(numbers) > 1 else ''} {ranges}"
