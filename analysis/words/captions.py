"""The text that a reader needs besides the numbers: the metric's rule, its unit, and the runs' provenance."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from analysis.records.runs import done, rule_of
from analysis.statistics.tables import LevelTable
from mixlab.messages import counted
from mixlab.spec.epoch import THEN
from mixlab.spec.metric import Metric, rule_in_words

DIGESTS = {"commit": "commit", "patch": "uncommitted changes", "data": "data fingerprint"}  # and what they are called
MOST_DIGESTS = 4  # the most fingerprints that are listed; a study of subsets of the images has one a subset
DIGITS = 12  # digits of a digest that are shown


def metric_text(declared: Metric, name: str, epochs: Iterable[int]) -> str:
    """Return the metric and its rule in words, such as ``top-1 accuracy, %, median of the last 10 epochs``.

    The ``name`` is the logged one, e.g. ``test_top1_median10``; a median over fewer epochs than ten says so.
    """
    rule, lengths = rule_of(declared, name), sorted(set(epochs), reverse=True)
    words = ([rule_in_words(rule, count) for count in lengths] or [rule_in_words(rule)]) if rule else []
    parts = [declared.label, declared.unit, " or ".join(dict.fromkeys(words))]
    lower = " (lower is better)" if declared.higher_is_better is False else ""
    return ", ".join(part for part in parts if part) + lower


def label_text(declared: Metric) -> str:
    """Return the label of an axis, such as ``top-1 accuracy, %``."""
    return ", ".join(part for part in (declared.label, declared.unit) if part)


def unit(declared: Metric) -> str:
    """Return the unit of a gain: percentage points for a metric in percent, else its own unit, or its label."""
    return "percentage points" if declared.unit == "%" else declared.unit or declared.label


def provenance_text(*levels: LevelTable, one_seed: bool = False) -> str:
    """Return data set, backbone, epochs, n, seeds, commit and data fingerprint of the runs of one or several tables.

    A figure that shows one seed of a cell says which, so for it n and the seeds are left out.
    """
    planned = pd.concat([level.runs for level in levels])
    runs = done(planned)
    epochs = listed(_distinct(runs, "epochs"))
    data = _digests(runs, "data")
    fingerprints = listed(data) if len(data) <= MOST_DIGESTS else f"of {len(data)} fingerprints"
    parts = [
        listed(_distinct(runs, "config.dataset")),
        *(name for name in _distinct(runs, "config.folder") if name != "None"),
        *_parts_of_the_data(runs),
        *(f"then {name}" for name in _distinct(runs, "config.retrain.dataset") if name != "None"),
        listed(_distinct(runs, "config.backbone")),
        counted(epochs, "epoch") if epochs else "",
        "" if one_seed else f"n = {span_text(int(n) for level in levels for n in level.table['n'])}",
        "" if one_seed else seeds_text(planned["seed"]),
        _commits(runs),
        f"data {fingerprints}" if data else "",
    ]
    return ", ".join(filter(None, parts)) + "."


def hardware_text(*levels: LevelTable) -> str:
    """Return the sentence on what trained the runs, with a space behind it; empty where no run says."""
    machines = _distinct(done(pd.concat([level.runs for level in levels])), "hardware")
    if len(machines) > 1:
        return "The runs differ in hardware. "
    return f"Trained on {machines[0]}. " if machines else ""


def _parts_of_the_data(runs: pd.DataFrame) -> list[str]:
    """Return e.g. ``only 500 training images in 3 of 6 runs`` where the data set was not read whole."""
    found = []
    for what, name in (("training", "train"), ("test", "test")):
        column = f"config.{name}_images"
        if counts := [count for count in _distinct(runs, column) if count != "None"]:
            cut = runs[column].astype(str).isin(counts)
            where = "" if cut.all() else f" in {cut.sum()} of {counted(len(runs), 'run')}"
            found.append(f"only {counted(' or '.join(counts), f'{what} image')}{where}")
    return found


def _commits(runs: pd.DataFrame) -> str:
    """Return e.g. ``commits a1b2 and c3d4 (2 of 6 runs begun at one and resumed at another)``."""
    commits = _digests(runs, "commit")
    named = f"{'commits' if len(commits) > 1 else 'commit'} {listed(commits) or 'unknown'}"
    resumed = runs["commit"].map(lambda commit: THEN in str(commit))
    remarks = {"with uncommitted changes": changed(runs), "begun at one and resumed at another": resumed}
    parts = [
        what if which.all() else f"{which.sum()} of {counted(len(runs), 'run')} {what}"
        for what, which in remarks.items()
        if which.any()
    ]
    return f"{named} ({'; '.join(parts)})" if parts else named


def evaluated_text(codes: Iterable[tuple[str, str]]) -> str:
    """Return the sentence on the code that evaluated networks, from each commit and the digest of its changes."""
    commits = sorted({shortened(commit) for commit, _ in codes})
    at = f"{'commit' if len(commits) == 1 else 'commits'} {listed(commits)}"
    changes = ", with uncommitted changes" if any(patch != "none" for _, patch in codes) else ""
    return f"The networks were evaluated at {at}{changes}."


def changed(runs: pd.DataFrame) -> pd.Series:
    """Return whether the code of each run is known to differ from its commit, which needs a commit that is known."""
    return runs["dirty"] & (runs["commit"] != "unknown")


def _digests(runs: pd.DataFrame, column: str) -> list[str]:
    """Return every digest in a column once, shortened, also those of the parts of a run that was resumed."""
    parts = itertools.chain.from_iterable(value.split(THEN) for value in _distinct(runs, column))
    return list(dict.fromkeys(map(shortened, parts)))


def shortened(digest: str) -> str:
    """Return the first digits of a digest, or of that of every part of a run."""
    return THEN.join(part[:DIGITS] for part in digest.split(THEN))


def _distinct(runs: pd.DataFrame, column: str) -> list[str]:
    if column not in runs:
        return []
    return list(dict.fromkeys(str(value) for value in runs[column].dropna() if str(value)))


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
