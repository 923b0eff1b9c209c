"""An experiment of MLflow and its runs are found, or made once; what is written fits MLflow's requests."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput
from mixlab.tracking import experiment, names
from mixlab.tracking.experiment import find_or_create, log, offer, open_experiment


def test_an_experiment_is_made_once_with_its_files_beside_the_database(client, tracking_uri, tmp_path, monkeypatch):
    file = Path(tracking_uri.removeprefix("sqlite:///"))
    monkeypatch.chdir(file.parent.parent)  # MLflow keeps open what it opened by the same name in another folder
    first = open_experiment(MlflowClient(f"sqlite:///{file.parent.name}/{file.name}"), "it's 5 %")
    assert open_experiment(client, "it's 5 %") == first
    assert client.get_experiment(first).artifact_location == (file.parent / "mlruns" / "it's 5 %").as_uri()


def test_an_experiment_that_another_driver_makes_at_the_same_time_is_taken(monkeypatch):
    found = iter([None, SimpleNamespace(experiment_id=7), None, None])
    monkeypatch.setattr(experiment, "experiment_named", lambda client, name: next(found))
    server: Any = Mock(tracking_uri="http://head", create_experiment=Mock(side_effect=MlflowException("it exists")))
    assert open_experiment(server, "toy") == "7"
    server.create_experiment.assert_called_once_with("toy", artifact_location=None)
    with pytest.raises(BadInput, match=r"^MLflow does not make the experiment 'toy': it exists$"):
        open_experiment(server, "toy")


def test_a_tag_that_somebody_may_have_changed_stays(client):
    made = open_experiment(client, "toy")
    client.set_experiment_tag(made, "view", "changed")
    offer(client, made, {"view": "ours", "other": "ours"})
    tags = client.get_experiment(made).tags
    assert {name: tags[name] for name in ("view", "other")} == {"view": "changed", "other": "ours"}


def test_a_tag_that_a_start_of_another_plan_sets_at_the_same_time_is_taken():
    looks = iter([{}, {"view": "theirs"}, {}, {}])
    refusing: Any = Mock(set_experiment_tag=Mock(side_effect=MlflowException("UNIQUE constraint failed")))
    refusing.get_experiment = lambda made: SimpleNamespace(tags=next(looks))
    offer(refusing, "7", {"view": "ours"})
    with pytest.raises(MlflowException, match="UNIQUE"):
        offer(refusing, "7", {"view": "ours"})


def test_a_run_is_found_by_its_identity_and_runs_again(client):
    made = open_experiment(client, "toy")
    tags = {names.LEVEL: "seed", names.KEY: "a", names.COMMIT: "first"}
    run, params = find_or_create(client, made, tags)
    assert params is None
    client.log_param(run, "lr", 0.1)
    client.set_terminated(run, "KILLED")
    assert find_or_create(client, made, {**tags, names.COMMIT: "second"}) == (run, {"lr": "0.1"})
    found = client.get_run(run)
    assert (found.info.status, found.data.tags[names.COMMIT]) == ("RUNNING", "second")
    other, params = find_or_create(client, made, {**tags, names.KEY: "b"})
    assert params is None
    assert find_or_create(client, made, tags, known=other) == (other, {})
    assert client.get_run(other).data.tags[names.KEY] == "a"


@pytest.mark.parametrize(
    ("tags", "status"),
    [({names.LEVEL: "study", names.PLAN: "p"}, "RUNNING"), ({names.LEVEL: "seed", names.KEY: "a"}, "FINISHED")],
)
@pytest.mark.parametrize("is_known", [False, True])
def test_a_study_that_is_done_runs_again_and_a_seed_that_is_done_stays_so(client, tags, status, is_known):
    made = open_experiment(client, "toy")
    run, _ = find_or_create(client, made, tags)
    client.set_terminated(run, "FINISHED")
    assert find_or_create(client, made, tags, run if is_known else None) == (run, {})
    assert client.get_run(run).info.status == status


def test_entries_are_written_in_requests_that_mlflow_takes(monkeypatch):
    server: Any = Mock()
    log(server, "run")
    assert not server.log_batch.called
    metrics = [Metric("m", 1.0, 0, step) for step in range(1601)]
    log(server, "run", metrics, {f"p{n}": "x" for n in range(150)}, {f"t{n}": "x" for n in range(201)})
    calls = [call.args for call in server.log_batch.call_args_list]
    assert [tuple(map(len, each[1:])) for each in calls] == [(800, 100, 100), (800, 50, 100), (1, 0, 1)]
    assert [point.step for _, some, *_ in calls for point in some] == list(range(1601))
    assert len({tag.key for *_, some in calls for tag in some}) == 201
    assert {each[0] for each in calls} == {"run"}
