"""The run of a study has its latest summary."""

from types import SimpleNamespace

from mlflow.tracking import MlflowClient

from tests.mixlab.tracking.one_trial import tracker_of


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
