"""A study of one trial, and a driver that has started it."""

from mlflow.tracking import MlflowClient

from mixlab.provenance import Provenance
from mixlab.spec.trial import Trial
from mixlab.tracking import names
from mixlab.tracking.tracker import Tracker
from mixlab.tracking.trial_runs import Tracked

TRIAL = Trial("0123456789abcdef", "plain", {}, 0, {"epochs": 4})
PLAN = {"metric": "test_top1", "preset": "quick", "trials": []}
TRACKED = Tracked("toy", "0123", PLAN, names.STUDY_LEVELS, {TRIAL.cell: "plain"})


def tracker_of(client: MlflowClient, tracked: Tracked = TRACKED) -> Tracker:
    return Tracker(client, tracked, Provenance("c", False, "", {}))


def opened(client: MlflowClient) -> Tracker:
    """Return a new driver's tracker, which has started the trial."""
    tracker = tracker_of(client)
    tracker.open()
    tracker.trials.start(TRIAL)
    assert tracker.drain(20)
    return tracker
