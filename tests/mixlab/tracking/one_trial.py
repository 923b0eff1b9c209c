"""A study of one trial, a driver that has started it, and its run as MLflow has it."""

from mlflow.entities import Run
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
    assert tracker.writer.drain(20)
    return tracker


def run_of(tracker: Tracker) -> Run:
    """Return the one run of the trial once all is written."""
    assert tracker.writer.drain(20)
    (run,) = tracker.client.search_runs([tracker.experiment_id], f"tags.`{names.KEY}` = '{TRIAL.key}'")
    return run


def curve(client: MlflowClient, run: Run, metric: str) -> list[tuple[int, float]]:
    """Return the epochs and the values of a metric of a run."""
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)]
