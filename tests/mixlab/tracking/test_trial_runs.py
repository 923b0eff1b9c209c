"""The run of a trial has every key of its configuration, and every epoch once, however often it is reported."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.tracking import MlflowClient

from mixlab.provenance import Provenance
from mixlab.spec.epoch import OWN_TAGS, Epoch
from mixlab.spec.trial import State, Trial
from mixlab.tracking import artifacts, names
from mixlab.tracking.experiment import find_or_create, open_experiment
from mixlab.tracking.trial_runs import TrialRuns
from mixlab.tracking.writer import Writer
from tests.mixlab.tracking.one_trial import TRACKED, TRIAL, curve, opened, run_of
from tests.strict_json import strict

ARM_TAGS = {names.LEVEL: "arm", names.CELL: TRIAL.cell, names.PLAN: "0123"}


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


CURVES: dict[str, list[dict[str, float]]] = {
    "some rarely": [{"loss": 1.0}, {"rmse": 2.0}, {"loss": 3.0}, {"loss": 4.0, "rmse": 4.0, "rmse_best": 2.0}],
    "others each time": [{"warm_up": 1.0}, {"rmse": 2.0}, {"rmse": 3.0}, {"tested": 4.0}],
    "not finite": [{"loss": math.nan}, {"loss": math.inf}, {"loss": -math.inf}, {"loss": math.nan}],
}


@pytest.mark.slow
def test_a_relaunch_doubles_no_epoch_of_any_metric(client, tracking_uri):
    trials = {kind: replace(TRIAL, key=kind) for kind in CURVES}
    epochs = {kind: [Epoch(number, 4, each) for number, each in enumerate(CURVES[kind], 1)] for kind in CURVES}
    ids, began = set(), time.time()
    for first, last in ((0, 2), (1, 4), (0, 4)):  # each time by a new driver, from its own checkpoint
        runs = written(tracking_uri, *((trials[kind], epochs[kind][first:last]) for kind in CURVES))
        ids |= {run.info.run_id for run in runs}
    assert len(ids) == len(CURVES)
    for kind, run in zip(CURVES, runs, strict=True):
        for name in {name for each in CURVES[kind] for name in each}:
            points = client.get_metric_history(run.info.run_id, name)
            assert [point.step for point in points] == [each.number for each in epochs[kind] if name in each.metrics]
            assert all(began - 1 < point.timestamp / 1000 < time.time() + 1 for point in points)  # in milliseconds


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
        assert tracker.writer.drain(20)
        tracker = opened(client)
        tracker.trials.epochs(TRIAL, second[:resumed])
    for epoch in second[resumed:]:
        tracker.trials.epochs(TRIAL, [epoch])
    tracker.trials.end(TRIAL, State.DONE)
    run = run_of(tracker)
    assert not tracker.writer.refused
    assert (run.info.status, run.data.params["epochs"]) == ("FINISHED", "4")
    assert run.data.tags[names.PARENT] == tracker.arm_runs[TRIAL.cell]
    assert run.data.metrics["loss"] == 14.0
    assert curve(client, run, "loss") == [(epoch.number, epoch.metrics["loss"]) for epoch in second]
    assert [epoch for epoch, _ in curve(client, run, "rare")] == [*range(1, resumed + 1)]


@pytest.mark.slow
def test_epochs_that_wait_for_a_slow_server_are_written_together(client, monkeypatch):
    """The server takes nothing until the last report, of an epoch that was trained again with other numbers."""
    tracker = opened(client)
    asked, batches = client.log_batch, []
    begun, reported = Event(), Event()

    def slow(run_id: str, metrics: Sequence[Metric], *words: Any) -> None:
        begun.set()
        reported.wait(20)
        batches.append([point.value for point in metrics])
        asked(run_id, metrics, *words)

    monkeypatch.setattr(client, "log_batch", slow)
    for number, loss in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 2.5)):
        tracker.trials.epochs(TRIAL, [Epoch(number, 4, {"loss": loss})])
        assert begun.wait(20)
    reported.set()
    assert curve(client, run_of(tracker), "loss") == [(1, 1.0), (2, 2.5)]
    assert batches == [[1.0], [2.5]]


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
        assert tracker.writer.drain(20)
    assert tracker.newly_refused() == ["no"]


def test_a_run_is_replaced_once_even_if_mlflow_s_answers_are_lost(client, monkeypatch):
    monkeypatch.setattr("mixlab.tracking.writer.RETRY_SECONDS", 0.01)
    tracker = opened(client)
    tracker.trials.epochs(TRIAL, [Epoch(number, 4, {"loss": 1.0}) for number in (1, 2, 3)])
    assert tracker.writer.drain(20)
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
    assert curve(client, run_of(tracker), "loss") == [(1, 1.0), (2, 2.0)]
    assert lost == requests


def test_a_configuration_may_have_any_number_and_keys_with_the_names_of_columns(tracking_uri):
    config = {"seed": 7, "epochs": 4, "arm": "x", "status": "y", "key": "z", "clip": math.inf}
    trial = replace(TRIAL, seed=3)
    run, other = written(tracking_uri, (replace(trial, config=config), []), (replace(trial, key="other"), []))
    assert run.data.params == {key: str(value) for key, value in config.items()}
    assert (run.data.tags[names.SEED], run.data.tags[names.ARM]) == ("3", TRIAL.arm)
    assert other.data.params == {"seed": "3", "epochs": "4"}
    file = artifacts.read(MlflowClient(tracking_uri), run.info.run_id, names.CONFIG_FILE) or b""
    assert strict(file) == {**config, "clip": "Infinity"}


@pytest.mark.slow
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
    assert set(OWN_TAGS) == tags - {"data", "hardware"}  # a trainable reports these two
