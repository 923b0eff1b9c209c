"""The run of a trial has every key of its configuration, and every epoch once, however often it is reported."""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput
from mixlab.provenance import Provenance
from mixlab.spec.epoch import OWN_TAGS, Epoch
from mixlab.spec.search import SearchTrial
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import write_epochs
from mixlab.tracking import artifacts, names
from mixlab.tracking.experiment import find_or_create, open_experiment
from mixlab.tracking.store import recorded
from mixlab.tracking.tracker import Tracker
from mixlab.tracking.trial_runs import Tracked, TrialRuns, histograms_of
from mixlab.tracking.writer import Writer
from tests.strict_json import strict

TRIAL = Trial("0123456789abcdef", "plain", {}, 0, {"epochs": 4})
ARM_TAGS = {names.LEVEL: "arm", names.CELL: TRIAL.cell, names.PLAN: "0123"}
PLAN = {"metric": "test_top1", "preset": "quick", "trials": []}
TRACKED = Tracked("toy", "0123", PLAN, names.STUDY_LEVELS, {TRIAL.cell: "plain"})


def written(uri: str, *given: tuple[Trial, list[Epoch]]) -> list[Run]:
    """Return the runs of trials of which a new driver has written some epochs."""
    client, writer = MlflowClient(uri), Writer()
    experiment = open_experiment(client, "toy")
    parents = {TRIAL.cell: find_or_create(client, experiment, ARM_TAGS)[0]}
    runs = TrialRuns(client, TRACKED, Provenance("c", False, "", {}), experiment, parents, writer)
    for trial, epochs in given:
        runs.start(trial)
        runs.epochs(trial, epochs)
    assert writer.drain(20)
    assert not writer.refused
    return [client.get_run(runs.run_ids[trial.key]) for trial, _ in given]


def opened(client: MlflowClient) -> Tracker:
    """Return a new driver's tracker, which has started the trial."""
    tracker = Tracker(client, TRACKED, Provenance("c", False, "", {}))
    tracker.open()
    tracker.trials.start(TRIAL)
    assert tracker.drain(20)
    return tracker


CURVES: dict[str, list[dict[str, float]]] = {
    "some rarely": [
        *({"loss": 1.0}, {"loss": 2.0, "rmse": 2.0}, {"loss": 3.0}),
        {"loss": 4.0, "rmse": 4.0, "rmse_best": 2.0},
    ],
    "others each time": [{"warm_up": 1.0}, {"rmse": 2.0}, {"rmse": 3.0}, {"tested": 4.0}],
    "not finite": [{"loss": math.nan}, {"loss": math.inf}, {"loss": -math.inf}, {"loss": math.nan}],
}


def test_a_relaunch_doubles_no_epoch_of_any_metric(client, tracking_uri):
    """Every curve is that of one trial."""
    trials = {kind: replace(TRIAL, key=kind) for kind in CURVES}
    epochs = {kind: [Epoch(number, 4, each) for number, each in enumerate(CURVES[kind], 1)] for kind in CURVES}
    for first, last in ((0, 2), (1, 4), (0, 4)):  # each time by a new driver, from its own checkpoint
        runs = written(tracking_uri, *((trials[kind], epochs[kind][first:last]) for kind in CURVES))
    for kind, run in zip(CURVES, runs, strict=True):
        for name in {name for each in CURVES[kind] for name in each}:
            points = client.get_metric_history(run.info.run_id, name)
            steps = [point.step for point in points]
            assert steps == [epoch.number for epoch in epochs[kind] if name in epoch.metrics], kind
            assert all(abs(point.timestamp / 1000 - time.time()) < 60 for point in points)  # it counts milliseconds


def test_a_run_goes_on_though_a_value_is_spelt_otherwise(tracking_uri):
    """Its key is the same for a file that has been moved, and for 0 and 0.0; MLflow changes no parameter."""
    before = replace(TRIAL, config={"epochs": 4, "weights": "old/model.pt", "decay": 0})
    after = replace(TRIAL, config={"epochs": 4, "weights": "new/model.pt", "decay": 0.0, "later": True})
    (first,) = written(tracking_uri, (before, [Epoch(1, 4, {"loss": 1.0})]))
    (run,) = written(tracking_uri, (after, [Epoch(number, 4, {"loss": 1.0}) for number in (1, 2)]))
    assert run.info.run_id == first.info.run_id
    assert run.data.params == {"seed": "0", "epochs": "4", "weights": "old/model.pt", "decay": "0", "later": "True"}


@pytest.mark.parametrize("resumed", [0, 2], ids=["from the start", "from a checkpoint"])
@pytest.mark.parametrize("retried", [False, True], ids=["by a new driver", "by the same driver"])
def test_epochs_that_are_trained_again_with_other_numbers_leave_one_attempt_alone(client, resumed, retried):
    """An attempt ends after epoch 3; the next goes on from the checkpoint of an earlier epoch, or from none."""
    first = [Epoch(number, 4, {"loss": float(number), "rare": math.inf}) for number in (1, 2, 3)]
    second = first[:resumed] + [Epoch(number, 4, {"loss": 10.0 + number}) for number in range(resumed + 1, 5)]
    tracker = opened(client)
    tracker.trials.epochs(TRIAL, first)
    if not retried:
        assert tracker.drain(20)
        tracker = opened(client)
        tracker.trials.epochs(TRIAL, second[:resumed])
    for epoch in second[resumed:]:
        tracker.trials.epochs(TRIAL, [epoch])
    tracker.trials.end(TRIAL, State.DONE)
    assert tracker.drain(20)
    assert not tracker.writer.refused

    (run,) = client.search_runs([tracker.experiment_id], f"tags.`{names.KEY}` = '{TRIAL.key}'")
    assert (run.info.status, run.data.params["epochs"]) == ("FINISHED", "4")
    assert run.data.tags[names.PARENT] == tracker.arm_runs[TRIAL.cell]
    assert run.data.metrics["loss"] == second[-1].metrics["loss"]
    for name in ("loss", "rare"):
        points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
        assert [step for step, _ in points] == [epoch.number for epoch in second if name in epoch.metrics]
        if name == "loss":
            assert [value for _, value in points] == [epoch.metrics["loss"] for epoch in second]


def test_epochs_that_wait_for_a_slow_server_are_written_together(client, monkeypatch):
    """The server takes nothing until the last report, of an epoch that was trained again with other numbers."""
    tracker = opened(client)
    asked, batches = client.log_batch, []
    reported = Event()

    def slow(run_id: str, metrics: Sequence[Metric], *words: Any) -> None:
        reported.wait(20)
        batches.append([point.value for point in metrics])
        asked(run_id, metrics, *words)

    monkeypatch.setattr(client, "log_batch", slow)
    for number, loss in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 2.5)):
        tracker.trials.epochs(TRIAL, [Epoch(number, 4, {"loss": loss})])
    reported.set()
    assert tracker.drain(20)
    assert batches in ([[1.0], [2.5]], [[1.0, 2.5]])  # the first epoch alone, if the writer was quick
    (run,) = client.search_runs([tracker.experiment_id], f"tags.`{names.KEY}` = '{TRIAL.key}'")
    points = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 2.5)]


def test_an_epoch_that_mlflow_refuses_is_not_in_the_way_of_the_next(client, monkeypatch):
    tracker = opened(client)
    ask = client.log_batch

    def refusing(run_id: str, metrics: Sequence[Metric], *words: Any) -> None:
        if any(point.step == 2 for point in metrics):
            raise MlflowException("no", INVALID_PARAMETER_VALUE)
        ask(run_id, metrics, *words)

    monkeypatch.setattr(client, "log_batch", refusing)
    for number in (1, 2, 3):
        tracker.trials.epochs(TRIAL, [Epoch(number, 4, {"loss": 1.0})])
        assert tracker.drain(20)
    assert tracker.newly_refused() == ["no"]


def test_a_run_is_replaced_once_even_if_mlflow_s_answers_are_lost(client, monkeypatch):
    monkeypatch.setattr("mixlab.tracking.writer.RETRY_SECONDS", 0.01)
    tracker = opened(client)
    tracker.trials.epochs(TRIAL, [Epoch(number, 4, {"loss": 1.0}) for number in (1, 2)])
    assert tracker.drain(20)
    lost: list[str] = []

    def without_first_answer(name: str) -> Callable[..., Any]:
        ask = getattr(client, name)

        def asked(*given: Any, **named: Any) -> Any:
            answer = ask(*given, **named)
            if name not in lost and (name != "log_batch" or given[1]):  # the batch of metrics
                lost.append(name)
                raise ConnectionError("the connection was reset")
            return answer

        return asked

    requests = ["delete_run", "create_run", "log_batch"]
    for name in requests:
        monkeypatch.setattr(client, name, without_first_answer(name))
    tracker.trials.epochs(TRIAL, [Epoch(2, 4, {"loss": 2.0})])
    assert tracker.drain(20)
    assert lost == requests
    (run,) = client.search_runs([tracker.experiment_id], f"tags.`{names.KEY}` = '{TRIAL.key}'")
    assert [point.value for point in client.get_metric_history(run.info.run_id, "loss")] == [1.0, 2.0]


def test_a_configuration_may_have_any_number_and_keys_with_the_names_of_columns(tracking_uri):
    config = {"seed": 7, "epochs": 4, "arm": "x", "status": "y", "key": "z", "clip": math.inf}
    run, other = written(
        tracking_uri, (replace(TRIAL, seed=3, config=config), []), (replace(TRIAL, key="other", seed=3), [])
    )
    assert run.data.params == {key: str(value) for key, value in config.items()}
    assert run.data.tags[names.SEED] == "3"
    assert other.data.params == {"seed": "3", "epochs": "4"}
    file = artifacts.read(MlflowClient(tracking_uri), run.info.run_id, names.CONFIG_FILE) or b""
    assert strict(file) == {**config, "clip": "Infinity"}


def test_any_number_of_keys_metrics_and_words_is_recorded(tracking_uri):
    """MLflow takes at most 100 parameters, 100 tags and 1000 metrics in one request."""
    many = {f"m{n}": float(n) for n in range(1001)}
    words = {f"w{n}": "x" for n in range(120)}
    config = {f"k{n}": n for n in range(250)}
    (run,) = written(tracking_uri, (replace(TRIAL, config=config), [Epoch(1, 2, {}), Epoch(2, 2, many, words)]))
    assert run.data.metrics == many
    assert {names.WORD + name: word for name, word in words.items()}.items() <= run.data.tags.items()
    assert len(run.data.params) == 251


def test_a_run_has_the_commit_of_its_epochs_and_not_of_the_driver_that_finds_them_written(tracking_uri):
    epochs = [Epoch(number, 2, {"rmse": 1.0}, {"commit": "that trained"}) for number in (1, 2)]
    for _ in range(2):
        (run,) = written(tracking_uri, (TRIAL, epochs))
        assert run.data.tags[names.COMMIT] == "that trained"


def test_a_word_that_a_trainable_reports_replaces_no_tag_of_ours():
    """With another ``mixlab.key`` a run would never be found again, and be trained anew at each start."""
    named = {str(tag) for name, tag in vars(names).items() if name.isupper()} - {names.WORD, names.DRIVER}
    tags = {tag.removeprefix(names.WORD) for tag in named if tag.startswith(names.WORD)}
    assert set(OWN_TAGS) == tags - {"data", "hardware"}  # which a trainable reports


def test_a_run_says_how_its_trial_ended_and_what_a_new_start_makes_of_it(client, tmp_path):
    write_epochs(tmp_path, [Epoch(1, 1, {"test_top1": 50.0}, {}, {"lam": (0.5,)})])
    (tmp_path / "model.pt").touch()
    (tmp_path / "training.pt").touch()  # only a trial that goes on needs it

    def said(tracker: Tracker) -> tuple[str, str, str | None]:
        assert tracker.drain(20)
        (run,) = client.search_runs([tracker.experiment_id], f"tags.`{names.KEY}` = '{TRIAL.key}'")
        return run.info.status, run.data.tags[names.STATE], run.data.tags.get(names.ERROR)

    tracker = opened(client)
    assert said(tracker) == ("RUNNING", "running", None)
    tracker.trials.end(TRIAL, State.FAILED, "it broke", "line 1\nit broke")
    assert said(tracker) == ("FAILED", "failed", "it broke")
    tracker = opened(client)
    assert said(tracker) == ("RUNNING", "running", "")
    tracker.trials.stop([TRIAL])
    assert said(tracker) == ("KILLED", "interrupted", "")
    tracker.trials.end(TRIAL, State.DONE, checkpoint=lambda: nullcontext(tmp_path))
    assert said(tracker) == ("FINISHED", "done", "")
    (run_id,) = (run.run_id for run in recorded(client, "toy").values())
    files = [names.CONFIG_FILE, names.HISTOGRAMS_FILE, "model.pt", names.TRACEBACK_FILE]
    assert artifacts.listed(client, run_id) == files
    assert artifacts.read(client, run_id, names.TRACEBACK_FILE) == b"line 1\nit broke"
    assert artifacts.read_json(client, run_id, names.HISTOGRAMS_FILE) == {"epochs": [1], "lam": [[0.5]]}


def test_only_the_best_trials_of_a_search_have_the_tag_of_the_best(client):
    tracked = replace(TRACKED, plan={**PLAN, "objective": "loss"}, levels=names.SEARCH_LEVELS)
    tracker = Tracker(client, tracked, Provenance("c", False, "", {}))
    tracker.open()
    trials = [SearchTrial(f"k{n}", "plain", {}, 0, {}, None, number=n, seeds=(0,)) for n in range(3)]
    for trial in trials:
        tracker.trials.start(trial)
    of_another = {names.LEVEL: "trial", names.KEY: "k4", names.BEST: "true", names.TRIAL: "4", names.PARENT: "other"}
    client.create_run(tracker.experiment_id, tags=of_another)
    for best in ({"k0", "k1"}, {"k1", "k2", "of another driver"}):
        tracker.trials.mark_best(best)
        assert tracker.drain(20)
    runs = recorded(client, "toy", "trial").values()
    tags = {run.tags[names.TRIAL]: run.tags[names.BEST] for run in runs}
    assert tags == {"0": "false", "1": "true", "2": "true", "4": "true"}


def test_the_histograms_of_all_epochs_are_one_artifact():
    epochs = [Epoch(n, 2, {"loss": 1.0}, {}, {"lam": (n / 3, 1 - n / 3), "drawn": (0.5, 0.5)}) for n in (1, 2)]
    assert histograms_of(epochs) == {
        "epochs": [1, 2],
        "drawn": [[0.5, 0.5], [0.5, 0.5]],
        "lam": [[0.333333, 0.666667], [0.666667, 0.333333]],
    }
    assert histograms_of([Epoch(1, 1, {"loss": 1.0})]) == {}


def test_epochs_without_a_histogram_are_left_out():
    """As of a trainable that draws them in every second epoch, or one more at the end."""
    reported = ("lam", "", "lam drawn", "drawn", "drawn", "")
    epochs = [Epoch(n, 6, {}, {}, dict.fromkeys(each.split(), (n / 8,))) for n, each in enumerate(reported, 1)]
    assert histograms_of(epochs) == {"epochs": [3, 4, 5], "drawn": [[0.375], [0.5], [0.625]]}


def test_the_latest_summary_is_shown_even_if_the_clock_was_set_back_and_each_is_recorded_once(
    tracking_uri, monkeypatch
):
    tracker = Tracker(MlflowClient(tracking_uri), TRACKED, Provenance("c", False, "", {}))
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


@pytest.mark.slow
def test_a_disk_that_is_full_for_the_artifacts_alone_leaves_no_run_running_and_is_written_once_there_is_room(
    tracking_uri, tmp_path, monkeypatch
):
    monkeypatch.setattr("mixlab.tracking.writer.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("mixlab.tracking.writer.FULL_SECONDS", 0.2)
    (tmp_path / "model.pt").write_text("weights")
    write_epochs(tmp_path, [Epoch(1, 1, {"test_top1": 50.0})])
    client = MlflowClient(tracking_uri)

    def without_room(source: Path, target: Path) -> None:
        Path("/dev/full").write_bytes(source.read_bytes())

    def end(tracker: Tracker) -> bool:
        tracker.trials.end(TRIAL, State.DONE, checkpoint=lambda: nullcontext(tmp_path))
        tracker.close("FINISHED", {TRIAL.cell: "FINISHED"})
        return tracker.drain(0.5)

    tracker = opened(client)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", without_room)
        assert not end(tracker)
        assert "No space left" in tracker.writer.outage
        assert tracker.end_without_room()
        assert statuses(tracker) == {"KILLED"}
        assert "No space left" in tracker.writer.outage
        with pytest.raises(BadInput, match="No space left"):
            opened(client)

    tracker = opened(client)
    assert end(tracker)
    assert not tracker.end_without_room()
    assert statuses(tracker) == {"FINISHED"}
    assert artifacts.read(tracker.client, tracker.trials.run_ids[TRIAL.key], "model.pt") == b"weights"


def statuses(tracker: Tracker) -> set[str]:
    return {run.info.status for run in tracker.client.search_runs([tracker.experiment_id])}
