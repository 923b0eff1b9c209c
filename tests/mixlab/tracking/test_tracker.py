"""The runs of a study and its arms have their latest summary."""

import _thread
import errno
import json
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput
from mixlab.spec.trial import State
from mixlab.tracking import artifacts, names, views
from mixlab.tracking.tracker import DRAIN_SECONDS
from tests.mixlab.tracking.one_trial import TRACKED, TRIAL, opened, run_of, tracker_of


def test_the_latest_summary_is_shown_even_if_the_clock_was_set_back_and_each_is_recorded_once(
    tracking_uri, monkeypatch
):
    tracker = tracker_of(MlflowClient(tracking_uri))
    tracker.open()
    for day, gain in ((3, 1.0), (1, 2.0), (4, 2.0), (1, 0.5), (2, 4.0), (4, 5.0), (5, 5.0)):
        clock = SimpleNamespace(time=lambda day=day: 1.8e9 + 86_400 * day)
        monkeypatch.setattr("mixlab.tracking.tracker.time", clock)
        tracker.describe({"gain": gain, "p": gain / 10}, f"gain {gain}")
        assert tracker.writer.drain(20)
        shown = tracker.client.get_run(tracker.study_run).data
        assert (shown.metrics["gain"], shown.metrics["p"]) == (gain, gain / 10)
    points = tracker.client.get_metric_history(tracker.study_run, "gain")
    assert sorted(point.value for point in points) == [0.5, 1.0, 2.0, 4.0, 5.0]


def test_a_summary_says_how_many_seeds_its_table_has_and_is_shown_where_it_belongs(client):
    """This number is how ``earlier_looks`` recognises the table of an earlier plan."""
    trials = [{"key": str(seed), "seed": seed} for seed in (7, 5, 7)]
    tracker = tracker_of(client, replace(TRACKED, plan={**TRACKED.plan, "trials": trials}))
    tracker.open()
    tracker.describe({"wins": 1.0}, "of the study")
    tracker.describe({"gain": 2.0}, "of the arm", "plain")
    assert tracker.writer.drain(20)
    shown = [client.get_run(run_id).data for run_id in (tracker.study_run, tracker.arm_runs["plain"])]
    assert [data.metrics for data in shown] == [{"wins": 1.0}, {"gain": 2.0}]
    told = [(data.tags[names.NOTE], data.tags[names.TABLE_SEEDS]) for data in shown]
    assert told == [("of the study", "2"), ("of the arm", "2")]


def test_a_study_keeps_its_plan_and_the_changes_of_its_code_and_each_run_ends_as_it_is_told(client):
    tracker = tracker_of(client)
    tracker.provenance = replace(tracker.provenance, dirty=True, diff="- old\n+ new\n")
    tracker.open()
    patch = names.PATCH_FILE.format(tracker.provenance.patch)
    assert artifacts.listed(client, tracker.study_run) == [names.PLAN_FILE, patch]
    assert json.loads(artifacts.read(client, tracker.study_run, names.PLAN_FILE) or b"") == TRACKED.plan
    assert artifacts.read(client, tracker.study_run, patch) == b"- old\n+ new\n"
    assert names.COMMAND in client.get_run(tracker.study_run).data.tags
    assert f"{views.TAG}study" in client.get_experiment(tracker.experiment_id).tags
    tracker.close(State.FAILED, {"plain": State.INTERRUPTED})
    assert tracker.writer.drain(20)
    ended = [client.get_run(run_id).info.status for run_id in (tracker.study_run, tracker.arm_runs["plain"])]
    assert ended == ["FAILED", "KILLED"]


def test_a_start_that_is_interrupted_while_its_runs_are_made_leaves_none_running(client, monkeypatch):
    """The plan is shown just before, so that whoever meant another one stops it then."""
    tracker, make = tracker_of(client), client.create_run

    def interrupted(*given: Any, **named: Any) -> Any:
        client.create_run = make
        _thread.interrupt_main()
        return make(*given, **named)

    monkeypatch.setattr(client, "create_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tracker.open()
    assert [run.info.status for run in client.search_runs([tracker.experiment_id])] == ["KILLED", "KILLED"]


def test_a_seed_whose_arm_was_deleted_is_shown_below_the_new_run_of_the_arm_and_no_other_moves(client):
    plan = {**TRACKED.plan, "trials": [{"key": TRIAL.key, "arm": "plain", "levels": {}, "seed": 0}]}
    client.delete_run(opened(client).arm_runs["plain"])
    parents = []
    for identity in (TRACKED.identity, "4567"):
        tracker = tracker_of(client, replace(TRACKED, plan=plan, identity=identity))
        tracker.open()
        assert tracker.writer.drain(DRAIN_SECONDS)
        parents.append((run_of(tracker).data.tags[names.PARENT], tracker.arm_runs["plain"]))
    (first, arm), (second, _) = parents
    assert first == second == arm


REFUSED = MlflowException("not yours", INVALID_PARAMETER_VALUE)
FULL = OSError(errno.ENOSPC, "No space left on device")  # which is waited for, but not as long as a server


@pytest.mark.parametrize(("error", "refused"), [(REFUSED, 1), (FULL, 0)])
def test_what_mlflow_refuses_is_told_once_and_ends_a_start_that_it_refuses(client, monkeypatch, error, refused):
    began, tracker = time.monotonic(), tracker_of(client)
    monkeypatch.setattr("mixlab.tracking.writer.FULL_SECONDS", 0.1)
    monkeypatch.setattr(client, "create_run", Mock(side_effect=error))
    with pytest.raises(BadInput, match=r"^cannot write to MLflow at 'sqlite:///.*': .*(not yours|left on device)$"):
        tracker.open()
    assert time.monotonic() - began < DRAIN_SECONDS / 2
    assert tracker.writer.abandoned
    assert [len(tracker.newly_refused()) for _ in range(2)] == [refused, 0]
