"""The run of a trial says how the trial ended, and has the files that it left."""

import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput
from mixlab.spec.epoch import Epoch
from mixlab.spec.search import SearchTrial
from mixlab.spec.trial import State
from mixlab.storage.journal import write_epochs
from mixlab.tracking import artifacts, names
from mixlab.tracking.stored_runs import recorded
from mixlab.tracking.tracker import Tracker
from mixlab.tracking.trial_runs import histograms_of
from tests.mixlab.tracking.one_trial import PLAN, TRACKED, TRIAL, opened, run_of, tracker_of


def test_a_run_says_how_its_trial_ended_and_what_a_new_start_makes_of_it(client, tmp_path):
    write_epochs(tmp_path, [Epoch(1, 1, {"test_top1": 50.0}, {}, {"lam": (0.5,)})])
    (tmp_path / "model.pt").touch()
    (tmp_path / "training.pt").touch()  # only a trial that goes on needs it

    def said(tracker: Tracker) -> tuple[str, str, str | None]:
        run = run_of(tracker)
        return run.info.status, run.data.tags[names.STATE], run.data.tags.get(names.ERROR)

    tracker = opened(client)
    assert said(tracker) == ("RUNNING", "running", None)
    tracker.trials.end(TRIAL, State.FAILED, "it broke", "line 1\nit broke")
    assert said(tracker) == ("FAILED", "failed", "it broke")
    tracker = opened(client)
    assert said(tracker) == ("RUNNING", "running", "")
    tracker.trials.end(TRIAL, State.INTERRUPTED)
    assert said(tracker) == ("KILLED", "interrupted", "")
    tracker.trials.end(TRIAL, State.DONE, checkpoint=lambda: nullcontext(tmp_path))
    assert said(tracker) == ("FINISHED", "done", "")
    run_id = run_of(tracker).info.run_id
    files = [names.CONFIG_FILE, names.HISTOGRAMS_FILE, "model.pt", names.TRACEBACK_FILE]
    assert artifacts.listed(client, run_id) == files
    assert artifacts.read(client, run_id, names.TRACEBACK_FILE) == b"line 1\nit broke"
    assert artifacts.read_json(client, run_id, names.HISTOGRAMS_FILE) == {"epochs": [1], "lam": [[0.5]]}


@pytest.mark.parametrize("loss", [1.0, 2.0], ids=["the same numbers", "other numbers"])
def test_a_run_that_another_start_has_finished_stays_as_it_is(client, loss):
    """Two starts whose arms share a baseline may train its runs at once, each on a machine and a storage of its own."""
    first, second = opened(client), opened(client)
    first.trials.epochs(TRIAL, [Epoch(1, 1, {"loss": 1.0})])
    first.trials.end(TRIAL, State.DONE)
    done = run_of(first)
    second.trials.epochs(TRIAL, [Epoch(1, 1, {"loss": loss})])
    second.trials.end(TRIAL, State.FAILED, "it broke", "it broke")
    second.trials.start(TRIAL)
    second.trials.end(TRIAL, State.INTERRUPTED)
    left = run_of(second)
    assert (left.info.status, left.info.run_id, left.data.metrics) == ("FINISHED", done.info.run_id, {"loss": 1.0})
    assert left.data.tags == done.data.tags
    assert artifacts.listed(client, left.info.run_id) == [names.CONFIG_FILE]


def test_only_the_best_trials_of_a_search_have_the_tag_of_the_best(client):
    tracked = replace(TRACKED, plan={**PLAN, "objective": "loss"}, levels=names.SEARCH_LEVELS)
    tracker = tracker_of(client, tracked)
    tracker.open()
    for number in range(3):
        own = {"number": number, "seeds": (0,), "objective": "loss"}
        tracker.trials.start(SearchTrial(f"k{number}", "plain", {}, 0, {}, None, **own))
    of_another = {names.LEVEL: "trial", names.KEY: "k4", names.BEST: "true", names.TRIAL: "4", names.PARENT: "other"}
    client.create_run(tracker.experiment_id, tags=of_another)
    for best in ({"k0", "k1"}, {"k1", "k2", "of another driver"}):
        tracker.trials.mark_best(best)
        assert tracker.writer.drain(20)
    runs = recorded(client, "toy", "trial").values()
    tags = {run.tags[names.TRIAL]: run.tags[names.BEST] for run in runs}
    assert tags == {"0": "false", "1": "true", "2": "true", "4": "true"}


def test_the_histograms_of_all_epochs_are_one_artifact_which_leaves_out_epochs_without_one():
    """A trainable may draw them in every second epoch only, or one more at the end."""
    epochs = [Epoch(n, 2, {"loss": 1.0}, {}, {"lam": (n / 3, 1 - n / 3), "drawn": (0.5, 0.5)}) for n in (1, 2)]
    lam = [[0.333333, 0.666667], [0.666667, 0.333333]]
    assert histograms_of(epochs) == {"epochs": [1, 2], "drawn": [[0.5, 0.5], [0.5, 0.5]], "lam": lam}
    assert histograms_of([Epoch(1, 1, {"loss": 1.0})]) == {}
    reported = ("lam", "", "lam drawn", "drawn", "drawn", "")
    epochs = [Epoch(n, 6, {}, {}, dict.fromkeys(each.split(), (n / 8,))) for n, each in enumerate(reported, 1)]
    assert histograms_of(epochs) == {"epochs": [3, 4, 5], "drawn": [[0.375], [0.5], [0.625]]}


@pytest.mark.slow
def test_a_disk_that_is_full_for_artifacts_alone_leaves_no_run_running_and_is_written_once_there_is_room(
    tracking_uri, tmp_path, monkeypatch
):
    monkeypatch.setattr("mixlab.tracking.writer.RETRY_SECONDS", 0.01)
    (tmp_path / "model.pt").write_text("weights")
    write_epochs(tmp_path, [Epoch(1, 1, {"test_top1": 50.0})])
    client = MlflowClient(tracking_uri)

    def without_room(source: Path, target: Path) -> None:
        Path("/dev/full").write_bytes(source.read_bytes())

    def end(tracker: Tracker, seconds: float) -> bool:
        tracker.trials.end(TRIAL, State.DONE, checkpoint=lambda: nullcontext(tmp_path))
        tracker.close(State.DONE, {TRIAL.cell: State.DONE})
        return tracker.writer.drain(seconds)

    def statuses(tracker: Tracker) -> set[str]:
        return {run.info.status for run in tracker.client.search_runs([tracker.experiment_id])}

    tracker = opened(client)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", without_room)
        assert not end(tracker, 0.5)
        assert "No space left" in tracker.writer.outage
        tracker.end_without_room()
        assert tracker.writer.drain(20)
        assert statuses(tracker) == {"KILLED"}
        assert "No space left" in tracker.writer.outage
        with pytest.raises(BadInput, match="No space left"):
            opened(client)

    tracker = opened(client)
    assert end(tracker, 20)
    assert statuses(tracker) == {"FINISHED"}
    assert artifacts.read(client, tracker.trials.run_ids[TRIAL.key], "model.pt") == b"weights"
