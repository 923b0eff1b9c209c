"""The state of a trial, and the results before a launch, follow from what MLflow and the journal hold."""

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from rich.console import Console

from mixlab import Options
from mixlab.launching.phase import states
from mixlab.launching.plan import print_outlook
from mixlab.launching.start import Start
from mixlab.spec.epoch import Epoch
from mixlab.storage.journal import Saved
from mixlab.tracking.store import StoredRun
from tests.mixlab.sequential_toy import TRAIN, study_of


def test_what_was_begun_and_is_not_over_is_interrupted():
    trials = study_of().trials(TRAIN)[:6]
    words = ("FINISHED", "FAILED", "RUNNING", "KILLED")
    recorded = {trial.key: StoredRun("", word, 0, None, {}, {}, {}) for trial, word in zip(trials, words, strict=False)}
    saved = {trials[4].key: Saved("", [Epoch(1, 3, {})])}
    found = states(trials, recorded, saved)
    assert [found[trial.key].value for trial in trials] == [
        *("done", "failed", "interrupted", "interrupted"),  # as MLflow has them
        *("interrupted", "pending"),  # only the journal has one of them, and nothing the other
    ]


def test_the_outlook_is_given_the_results_of_the_runs_that_are_done():
    def run(status: str, **metrics: float) -> StoredRun:
        return StoredRun("", status, 0, 1, {}, {}, metrics)

    recorded = {"a": run("FINISHED", top1=70.0), "b": run("KILLED", top1=9.0), "c": run("FINISHED", loss=1.0)}
    report = SimpleNamespace(outlook=lambda plan, results: [f"{plan['metric']}: {results}"])
    said = io.StringIO()
    start = Start("toy", TRAIN, Options(), Console(file=said), Path("study.py"), report)
    lines = print_outlook({"metric": "top1"}, start, recorded)
    assert lines == [said.getvalue().strip()] == ["top1: {'a': 70.0}"]
    assert print_outlook({"metric": "top1"}, replace(start, report=SimpleNamespace()), recorded) == []
