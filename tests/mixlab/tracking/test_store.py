"""The reading half of tracking, on real SQLite stores: opening, and finding runs by any tag."""

import gc
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import Mock

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.tracking import MlflowClient
from sqlalchemy import create_engine

from mixlab.errors import BadInput
from mixlab.tracking import artifacts, names, store, stored_runs
from mixlab.tracking.experiment import open_experiment
from mixlab.tracking.stored_runs import experiment_id, recorded, search_runs
from tests.endings import refused
from tests.mixlab.nobody import nobody
from tests.mixlab.tracking.test_writer import Answering
from tests.servers.program import Program
from tests.servers.server import HttpServer, started

SCHEMA = "Detected out-of-date database schema (found version 1, but expected 2): run 'mlflow db upgrade <URI>'"
ASK: tuple[Callable[..., Any], ...] = (recorded, experiment_id, open_experiment)
NAMES = ("it's 5%", "both ' and \"", "[1] $a_$", "new\nline", "back\\slash", "🦊 50 %", "a" * 300, "%")


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        *((f"sqlite:{rest}", "names no file; give sqlite:///FILE") for rest in ("//", "///", "///:memory:")),
        *((f"{kind}:///nowhere/m.db", "names no file; give sqlite:///FILE") for kind in ("sqlite+pysqlite", "SQLITE")),
        ("sqlite:///nowhere/m.db", "no MLflow database at 'nowhere/m.db'"),
        ("s3://bucket/x", "unknown kind of store in --tracking-uri 's3://bucket/x': 's3'; there are 'sqlite', 'http'"),
        ("postgres+psycopg2://me:secret@head/db", r"me:\*\*\*@head/db': 'postgres'; did you mean 'postgresql'"),
        (
            "postgresql+nodriver://me@head/db",
            r"nodriver\); give .* postgresql\+psycopg2://USER:PASSWORD@HOST/DATABASE$",
        ),
        ("mlflow.db", "'mlflow.db' is no URI; did you mean sqlite:///mlflow.db"),
        ("./mlruns", "'./mlruns' is no URI; give sqlite:///FILE"),
        ("file:///tmp/mlruns", "is a folder, in which MLflow no longer writes"),
        ("sqlite:////tmp", "names a folder; give sqlite:///FILE, such as sqlite:////tmp/mlflow.db"),
        ("http://", "'http://' names no host"),
        ("http://[::1", r"'http://\[::1' names no host"),
        ("http://me:secret@head:port", r"'http://me:\*\*\*@head:port' names no host"),
    ],
)
def test_what_is_no_store_is_a_sentence(uri, sentence):
    with pytest.raises(BadInput, match=sentence) as caught:
        store.connect(uri, make=False)
    assert "\n" not in str(caught.value)
    assert not Path("nowhere").exists()


def test_a_link_to_a_folder_that_is_not_there_makes_it(tracking_uri, tmp_path, monkeypatch):
    """SQLite could not open the database, which MLflow tried again and again for two minutes."""
    link, file = tmp_path / "link.db", tmp_path / "new" / "m.db"
    link.symlink_to(file)
    monkeypatch.setattr(store, "make_database", lambda file: shutil.copy(tmp_path / "mlflow.db", file))
    store.connect(f"sqlite:///{link}")
    assert file.stat().st_size


@pytest.mark.parametrize("place", ["/proc", "/proc/new/folder", "/sys"])
def test_a_folder_that_takes_no_file_though_its_permissions_allow_one_is_a_sentence_at_once(place, monkeypatch):
    monkeypatch.setattr(store, "in_background", lambda *_: pytest.fail("MLflow was asked"))
    monkeypatch.setattr(os, "access", lambda *_, **__: True)  # as for root
    with pytest.raises(BadInput, match=r"names the database '/.*/x.db', but '/(proc|sys)' cannot be written; give"):
        store.connect(f"sqlite:///{place}/x.db")


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("locked/m.db", True, "'{folder}/locked' cannot be written; give another file"),
        ("locked/new/m.db", True, "'{folder}/locked' cannot be written"),
        ("locked/read.db", True, "'{folder}/locked' cannot be written"),
        ("secret/read.db", True, "'{folder}/secret' cannot be written"),
        ("read.db", True, "'{folder}/read.db' cannot be written"),
        ("read.db/m.db", True, "below '{folder}/read.db', which is a file; name a folder"),
        # A dry run, which writes nothing, waited for MLflow's repeated attempts.
        ("unreadable.db", False, "names a file that cannot be read; give one that can"),
    ],
)
def test_a_database_that_permissions_keep_closed_is_a_sentence_at_once(tracking_uri, name, make, said):
    with TemporaryDirectory() as temporary:  # where anybody may look, as not below pytest's
        folder = Path(temporary)
        for place, mode in ((folder, 0o777), (folder / "locked", 0o555), (folder / "secret", 0o700)):
            place.mkdir(exist_ok=True)
            shutil.copy(tracking_uri.removeprefix("sqlite:///"), place / "read.db")
            (place / "read.db").chmod(0o444)
            place.chmod(mode)
        shutil.copy(folder / "read.db", folder / "unreadable.db")
        (folder / "unreadable.db").chmod(0)
        with nobody(), refused(said.format(folder=folder)):
            store.connect(f"sqlite:///{folder / name}", make=make)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (sqlite3.OperationalError("database is locked"), "(database is locked)"),
        (MlflowException(SCHEMA), "run 'mlflow db upgrade <URI>')"),
    ],
)
def test_the_first_way_out_keeps_the_finished_runs(tracking_uri, monkeypatch, error, said):
    monkeypatch.setattr(store, "MlflowClient", Mock(side_effect=error))
    with refused(f"{said}; put that right, or give another"):
        store.connect(tracking_uri, make=False)


def test_an_experiment_that_the_server_refuses_is_a_sentence(monkeypatch):
    """MLflow refuses everything to a user without permission."""
    for name, value in {"status": 403, "body": b"Permission denied", "do_GET": Answering.do_POST}.items():
        monkeypatch.setattr(Answering, name, value, raising=False)
    with started(HttpServer(Answering)) as server:
        client = MlflowClient(server.url.replace("://", "://joe:secret@"))
        for ask in ASK:
            with pytest.raises(BadInput, match=r"show the experiment 'toy': API request .*Permission denied") as caught:
                ask(client, "toy")
            assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_answers_without_its_database_is_told_from_one_that_is_not_there(status, monkeypatch):
    """MLflow's server sends 503 where its database is away, and MLflow asks it again for minutes."""
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.setattr(Answering, "status", status)
    monkeypatch.setattr(Answering, "do_GET", Answering.do_POST, raising=False)
    start = time.monotonic()
    away = f"(a server answers, but what is behind it, such as its database, does not: error {status})"
    with started(HttpServer(Answering)) as server, refused(away):
        store.connect(server.url)
    assert time.monotonic() - start < store.ANSWER_SECONDS / 2
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_runs_are_found_by_any_value_and_only_theirs(client):
    experiment = client.create_experiment("names")
    for level, name in (*(("arm", name) for name in NAMES), ("seed", NAMES[0])):
        client.create_run(experiment, tags={"mixlab.level": level, "mixlab.cell": name})
    for name in NAMES:
        found = search_runs(client, experiment, {"mixlab.level": "arm", "mixlab.cell": name})
        assert [run.tags["mixlab.cell"] for run in found] == [name]


def test_a_deleted_experiment_is_a_sentence_for_whoever_reads_or_writes_it(client):
    client.delete_experiment(client.create_experiment("toy"))
    for ask in ASK:
        with refused("'toy' is deleted; restore it"):
            ask(client, "toy")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("postgresql+psycopg2://me:secret@127.0.0.1:1/runs", r"127.*, port 1 failed: Connection refused\); give"),
        ("http://head:5000", r"\(Connection refused\); 'http://me:\*\*\*@127.0.0.1:1', the proxy .*: if head needs"),
    ],
)
def test_a_database_or_proxy_that_refuses_says_why_in_a_sentence(uri, said, monkeypatch, capfd):
    """MLflow tried it again for longer than anybody waited, and printed its exception each time."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
    with pytest.raises(BadInput, match=said) as caught:
        store.connect(uri)
    assert "secret" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("tables", "said"), [(5.0, ""), (0.01, "not ready within 0 s; if it was new, make it anew: ")])
def test_the_tables_of_a_new_database_are_waited_for_longer_than_its_answer(tables, said, monkeypatch):
    """MySQL keeps what a start that gives up has made, with which MLflow cannot go on."""

    def make_tables(uri: str) -> Mock:
        create_engine("sqlite://").connect()
        time.sleep(0.1)
        return made

    made = Mock()
    monkeypatch.setattr(store, "MlflowClient", make_tables)
    for name, seconds in (("ANSWER_SECONDS", 0.05), ("TABLES_SECONDS", tables)):
        monkeypatch.setattr(store, name, seconds)
    with refused(said) if said else nullcontext():
        assert store.connect("mysql://me@head/runs") is made


@pytest.mark.parametrize("location", ["mlflow-artifacts:/1", "mlflow-artifacts://head:5000/1"])
def test_files_that_a_server_keeps_are_asked_of_the_server_and_not_of_its_database(client, location):
    client.create_experiment("of a server", artifact_location=location)
    for ask in ASK:
        with refused("the http:// address of that server, not its database 'sqlite:///"):
            ask(client, "of a server")
    experiment = client.get_experiment_by_name("of a server")
    database = Mock(tracking_uri="mysql://me:secret@head/runs", get_experiment_by_name=Mock(return_value=experiment))
    with refused("not its database 'mysql://me:***@head/runs'"):
        experiment_id(database, "of a server")


def test_of_several_runs_of_a_trial_the_latest_counts_or_the_latest_that_is_finished(client):
    """As for the table, though two starts that could not see each other have trained the same trial.

    A run whose key was deleted belongs to no trial.
    """
    experiment, starts = client.create_experiment("toy"), {}
    ends = (("a", "FINISHED"), ("a", "FINISHED"), ("a", "RUNNING"), ("b", "FAILED"), ("b", "KILLED"), ("c", "FINISHED"))
    for start, (key, status) in enumerate(ends, 1):
        tags = {names.LEVEL: "seed", names.KEY: key}
        run_id = client.create_run(experiment, start_time=start, tags=tags).info.run_id
        client.update_run(run_id, status)
        starts[run_id] = start
    client.delete_tag(run_id, names.KEY)
    assert {key: starts[run.run_id] for key, run in recorded(client, "toy").items()} == {"a": 2, "b": 5}


def test_every_page_is_read_and_the_nearest_study_is_named(client, monkeypatch):
    with pytest.raises(BadInput, match="there are none"):
        experiment_id(client, "ablation_tiny")
    experiment = client.create_experiment("ablation_tiny")
    for number in range(5):
        client.create_run(experiment, tags={"mixlab.level": "seed", "mixlab.key": str(number)})
    monkeypatch.setattr(stored_runs, "RUNS_PER_PAGE", 2)
    monkeypatch.setattr(stored_runs, "runs_in_database", lambda *_, **__: None)  # as if a server answered
    ask, collects, collected = client.search_runs, [], gc.isenabled()
    monkeypatch.setattr(client, "search_runs", lambda *of, **how: collects.append(gc.isenabled()) or ask(*of, **how))
    assert len(search_runs(client, experiment_id(client, "ablation_tiny"), {"mixlab.level": "seed"})) == 5
    assert (collects, gc.isenabled()) == ([False] * 3, collected)  # garbage is looked for again once it is over
    with pytest.raises(BadInput, match="MLflow holds no study 'ablaton'; did you mean 'ablation_tiny'"):
        experiment_id(client, "ablaton")


def test_a_dropped_connection_is_tried_again_and_what_the_store_refuses_is_not(client, monkeypatch):
    monkeypatch.setattr(store, "PAUSES", (0.0, 0.0))
    locked = MlflowException("database is locked", TEMPORARILY_UNAVAILABLE)
    for error in (ConnectionResetError("gone"), MlflowException("API request failed"), locked):
        assert store.patiently(Mock(side_effect=[error, "answer"])) == "answer"
        with pytest.raises(type(error)):
            store.patiently(Mock(side_effect=[error] * 3))
    ask = Mock(side_effect=lambda: client.get_run("0" * 32))
    with pytest.raises(MlflowException, match="not found"):
        store.patiently(ask)
    ask.assert_called_once()


DRIVER = """
import sys
from mixlab.provenance import Provenance
from mixlab.tracking import names, store
from mixlab.tracking.trial_runs import Tracked
from mixlab.tracking.tracker import Tracker

uri, name = sys.argv[1:]
plan = {"study": name, "preset": "paper", "metric": "rmse"}
tracked = Tracked(name, "0123", plan, names.STUDY_LEVELS, {"plain": "plain"})
Tracker(store.connect(uri), tracked, Provenance("c", False, "", {})).open()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_three_drivers_that_start_at_once_on_a_new_database_all_find_it_whole(kind, tmp_path, request):
    server = kind == "postgresql"
    uri = request.getfixturevalue("new_database")() if server else f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    studies = ("one", "two", "three")
    with ExitStack() as stack:
        starts = [Program([sys.executable, "-c", DRIVER, uri, name], tmp_path, f"{name}.txt") for name in studies]
        for started in [stack.enter_context(start) for start in starts]:
            started.finish()
    client = store.connect(uri, make=False)
    found = {each.name: each.experiment_id for each in client.search_experiments()}
    assert set(found) == {*studies, "Default"}
    for name in studies:
        (run,) = search_runs(client, found[name], {names.LEVEL: "study"})
        assert artifacts.read_json(client, run.run_id, names.PLAN_FILE)["study"] == name
        assert len(search_runs(client, found[name], {names.LEVEL: "arm"})) == 1
