"""Artifacts of runs in real SQLite stores, also where the store was moved or its folder is lost."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from analysis.records.runs import load_plan
from mixlab.errors import BadInput
from mixlab.tracking import artifacts, names, store
from mixlab.tracking.experiment import open_experiment
from tests.servers.server import Handler, HttpServer, started


@pytest.fixture
def tracked(tracking_uri, tmp_path) -> tuple[Path, str]:
    """Return the folder of a store, as a driver lays it out, and a run in it with the artifact ``plan.json``."""
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.move(tmp_path / "mlflow.db", folder / "mlflow.db")
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment("tiny", artifact_location=(folder / "mlruns" / "tiny").as_uri())
    run_id = client.create_run(experiment).info.run_id
    client.log_dict(run_id, {"study": "tiny"}, "plan.json")
    return folder, run_id


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_artifacts_are_read_and_written_where_the_folder_was_moved_or_copied(tracked, move, monkeypatch):
    """MLflow itself would make the old folder again, and the old plan would be read for ever."""
    folder, run_id = tracked
    moved = folder.parent / "elsewhere with space"
    move(folder, moved)
    before = sorted(folder.rglob("*"))
    client = store.connect(f"sqlite:///{moved / 'mlflow.db'}", make=False)
    assert artifacts.fetch(client, run_id, "plan.json", folder).is_relative_to(moved)
    assert artifacts.read_json(client, run_id, "plan.json") == {"study": "tiny"}
    assert artifacts.read_json(client, run_id, "other.json") is None
    later = client.create_run(client.get_run(run_id).info.experiment_id).info.run_id
    assert artifacts.read_json(client, later, "plan.json") is None
    for run, content in ((run_id, '{"study": "changed"}'), (later, "{}")):
        artifacts.put_text(client, run, content, "plan.json")
        assert artifacts.read(client, run, "plan.json") == content.encode()
        assert artifacts.listed(client, run) == ["plan.json"]
    there = sorted(moved.rglob("*"))
    monkeypatch.setattr(shutil, "copyfile", lambda source, copy: copy.touch() or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        artifacts.put_text(client, run_id, "{}", "plan.json")
    assert sorted(moved.rglob("*")) == there  # no part of a copy
    assert sorted(folder.rglob("*")) == before


def test_a_database_without_its_folder_says_what_to_do_and_so_does_a_damaged_artifact(tracked):
    folder, run_id = tracked
    alone = folder.parent / "alone.db"
    shutil.move(folder / "mlflow.db", alone)
    client = store.connect(f"sqlite:///{alone}", make=False)
    assert artifacts.read_json(client, run_id, "plan.json") == {"study": "tiny"}  # still where it was written
    (file,) = folder.rglob("plan.json")
    file.write_text("{")
    with pytest.raises(BadInput, match=r"plan.json of run .* is damaged"):
        artifacts.read_json(client, run_id, "plan.json")
    shutil.rmtree(folder)
    with pytest.raises(BadInput, match=r"not in '.*mlruns.*'.* put the folder 'mlruns' next to the database"):
        artifacts.read_json(client, run_id, "plan.json")


def test_the_artifacts_that_a_server_has(tracking_uri, tmp_path):
    """A database may name a server as the place of its artifacts; nothing is looked for beside it then."""
    held: dict[str, bytes] = {}

    class Artifacts(Handler):
        def do_PUT(self) -> None:
            held[self.path.rpartition("/")[2]] = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(b"")

        def do_GET(self) -> None:
            folder = [{"path": name, "is_dir": name == "folder"} for name in ("folder", *held)]
            name = self.path.rpartition("/")[2].rpartition("%2F")[2]
            self.reply(held.get(name) or json.dumps({"files": folder if name == "artifacts" else []}).encode())

    client = MlflowClient(tracking_uri)
    with started(HttpServer(Artifacts)) as server:
        location = f"{server.url}/mlflow-artifacts/artifacts/tiny"
        run_id = client.create_run(client.create_experiment("tiny", artifact_location=location)).info.run_id
        assert artifacts.folder_of(client, run_id) is None
        artifacts.put_text(client, run_id, "{}", "plan.json")
        assert held == {"plan.json": b"{}"}
        assert artifacts.listed(client, run_id) == ["plan.json"]
        assert artifacts.read(client, run_id, "plan.json") == b"{}"
        assert artifacts.read(client, run_id, "other.json") is None
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (type("EndpointConnectionError", (Exception,), {"__module__": "botocore.exceptions"})("refused"), "refused"),
        (ModuleNotFoundError("No module named 'boto3'"), "No module named 'boto3'"),
    ],
)
def test_a_bucket_that_cannot_be_asked_is_a_sentence_that_names_it(tracking_uri, monkeypatch, error, why):
    """The client of a bucket raises exceptions of its own, not MLflow's."""

    def refuse(*_: object) -> None:
        raise error

    client = MlflowClient(tracking_uri)
    experiment = client.create_experiment("tiny", artifact_location="s3://key:secret@bucket/tiny")
    client.create_run(experiment, tags={names.LEVEL: "study", names.PLAN: "of six"})
    monkeypatch.setattr(MlflowClient, "list_artifacts", refuse)
    place = r"'s3://key:\*\*\*@bucket/tiny/\w+/artifacts'"
    sentence = rf"^MLflow at .* cannot be read: the storage of its artifacts at {place} does not answer \({why}\)$"
    for ask in (artifacts.plans, lambda client, study: load_plan(client.tracking_uri, study)):
        with pytest.raises(BadInput, match=sentence):
            ask(client, "tiny")


def test_the_plans_of_a_study_are_those_of_its_own_runs(tracking_uri):
    client = MlflowClient(tracking_uri)
    experiment = open_experiment(client, "tiny")
    for level, plan in (("study", "of six"), ("study", "of two"), ("arm", "of two")):
        client.create_run(experiment, tags={names.LEVEL: level, names.PLAN: plan})
    assert sorted(run.tags[names.PLAN] for run, _ in artifacts.plans(client, "tiny")) == ["of six", "of two"]
    assert artifacts.plans(client, "another") == []
