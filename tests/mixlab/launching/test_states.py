"""The state of a trial follows from what MLflow and the journal hold of it."""

from mixlab.launching.phase import states
from mixlab.spec.epoch import Epoch
from mixlab.storage.journal import Saved
from mixlab.tracking.store import StoredRun
from tests.mixlab.sequential_toy import TRAIN, study_of


def test_what_was_begun_and_is_not_over_is_interrupted() -> None:
    trials = study_of().trials(TRAIN)[:6]
    words = ("FINISHED", "FAILED", "RUNNING", "KILLED")
    recorded = {trial.key: StoredRun("", word, 0, None, {}, {}, {}) for trial, word in zip(trials, words, strict=False)}
    saved = {trials[4].key: Saved("", [Epoch(1, 3, {})])}
    found = states(trials, recorded, saved)
    assert [found[trial.key].value for trial in trials] == [
        *("done", "failed", "interrupted", "interrupted"),  # as MLflow has them
        *("interrupted", "pending"),  # only the journal has one of them, and nothing the other
    ]
