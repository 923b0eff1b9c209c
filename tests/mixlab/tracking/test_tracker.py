"""The runs of a study and its arms have their latest summary."""

from dataclasses import replace
from types import SimpleNamespace

from mlflow.tracking import MlflowClient

from mixlab.tracking import names
from tests.mixlab.tracking.one_trial import TRACKED, tracker_of


def test_the_latest_summary_is_shown_even_if_the_clock_was_set_back_and_each_is_recorded_once(
    tracking_uri, monkeypatch
):
    tracker = tracker_of(MlflowClient(tracking_uri))
    tracker.open()
    for day, gain in ((3, 1.0), (1, 2.0), (4, 2.0), (1, 3.0), (2, 4.0), (4, 5.0), (5, 5.0)):
        clock = SimpleNamespace(time=lambda day=day: 1.8e9 + 86_400 * day)
        monkeypatch.setattr("mixlab.tracking.tracker.time", clock)
        tracker.describe({"gain": gain, "p": gain / 10}, f"gain {gain}")
        assert tracker.drain(20)
        shown = tracker.client.get_run(tracker.study_run).data
        assert (shown.metrics["gain"], shown.metrics["p"]) == (gain, gain / 10)
    points = tracker.client.get_metric_history(tracker.study_run, "gain")
    assert sorted(point.value for point in points) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_summary_says_how_many_seeds_its_table_has_and_is_shown_where_it_belongs(client):
    """By the number, ``earlier_looks`` knows the table of an earlier plan."""
    trials = [{"seed": seed} for seed in (7, 5, 7)]
    tracker = tracker_of(client, replace(TRACKED, plan={**TRACKED.plan, "trials": trials}))
    tracker.open()
    tracker.describe({"wins": 1.0}, "of the study")
    tracker.describe({"gain": 2.0}, "of the arm", "plain")
    assert tracker.drain(20)
    shown = [client.get_run(run_id).data for run_id in (tracker.study_run, tracker.arm_runs["plain"])]
    assert [data.metrics for data in shown] == [{"wins": 1.0}, {"gain": 2.0}]
    told = [(data.tags[names.NOTE], data.tags[names.TABLE_SEEDS]) for data in shown]
    assert told == [("of the study", "2"), ("of the arm", "2")]
