"""The private parts of MLflow that ``mixlab.tracking.mlflow_private`` touches are as they were."""

import importlib
import inspect
import json
import math
import os
from dataclasses import asdict
from functools import partial
from unittest.mock import Mock

import mlflow
import pytest
from mlflow.store.tracking import sqlalchemy_store
from mlflow.tracking import MlflowClient
from sqlalchemy import Connection, Engine, event

from mixlab.tracking import store, stored_runs
from mixlab.tracking.mlflow_private import limit_attempts, make_database, runs_in_database
from mixlab.tracking.stored_runs import StoredRun, search_runs
from mixlab.uris import sqlite_file, sqlite_uri
from tests.libraries import forgo_durability
from tests.pins import pinned, require

PIN = pinned("mlflow")
VALUES = {"one": 1.5, "none": math.nan, "most": math.inf, "least": -math.inf}


def write(client: MlflowClient, count: int) -> str:
    """Make runs of two arms in every state, with every kind of metric; return the id of their experiment."""
    experiment = client.create_experiment("study")
    for number in range(count):
        tags = {"mixlab.level": "seed", "mixlab.cell": f'it\'s "{number % 2}"', "mixlab.seed": str(number)}
        run = client.create_run(experiment, start_time=number // 2, tags=tags).info.run_id
        client.log_param(run, "lr", number)
        for name, value in VALUES.items():
            client.log_metric(run, name, value, step=1)
        client.log_metric(run, "one", number, step=2)
        if number % 3:
            client.set_terminated(run, ("FINISHED", "KILLED")[number % 2], end_time=number)
    client.delete_run(client.create_run(experiment, tags={"mixlab.level": "seed"}).info.run_id)
    client.create_run(client.create_experiment("another"), tags={"mixlab.level": "seed"})
    return str(experiment)


def as_text(run: StoredRun) -> str:
    """Return all of a run as text, in which NaN is equal to itself."""
    return json.dumps(asdict(run), sort_keys=True, default=str)


def test_the_database_says_what_mlflow_says(client, monkeypatch):
    experiment = write(client, 7)
    for tags in ({"mixlab.level": "seed"}, {"mixlab.cell": 'it\'s "1"'}, {"mixlab.level": "arm"}, {}):
        ours = search_runs(client, experiment, tags)
        assert [run.params for run in search_runs(client, experiment, tags, params=False)] == [{}] * len(ours)
        with monkeypatch.context() as patch:
            patch.setattr(stored_runs, "runs_in_database", lambda *_, **__: None)
            theirs = search_runs(client, experiment, tags)
        message = f"the tables of mlflow {PIN} are others in {mlflow.__version__}: change tracking/mlflow_private.py"
        assert [as_text(run) for run in ours] == [as_text(run) for run in theirs], message


def test_attempts_to_open_a_database_are_counted_and_logged_as_they_were():
    limit_attempts()
    utils = importlib.import_module("mlflow.store.db.utils")
    source = inspect.getsource(utils.create_sqlalchemy_engine_with_retry)
    for part in ("attempts < MAX_RETRY_COUNT", "_logger.warning"):
        require(part in source, f"opening a database by {part}", mlflow, "tracking/mlflow_private.py")
    pauses = [0.1 * (2**attempt - 1) for attempt in range(1, utils.MAX_RETRY_COUNT)]
    assert sum(pauses) < store.ANSWER_SECONDS - 5


def test_a_folder_with_any_letters_is_made_by_its_name_and_no_other(tmp_path):
    """MLflow makes the folder of a URI as it is written: who may make none beside a home called müller had no store."""
    file = tmp_path / "j. müller's #1" / "m.db"
    importlib.import_module("mlflow.store.db.utils")._make_parent_dirs_if_sqlite(sqlite_uri(file))
    assert list(tmp_path.iterdir()) == [file.parent]


def test_reading_any_number_of_runs_takes_as_many_statements(client):
    experiment = write(client, 4)
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        for tag, value, count in (("mixlab.level", "seed", 4), ("mixlab.seed", "0", 1)):
            statements.clear()
            assert len(search_runs(client, experiment, {tag: value})) == count
            assert sum(each.startswith("SELECT") for each in statements) == 4
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert runs_in_database(MlflowClient("http://127.0.0.1:1"), "1", {}, params=True) is None  # a server's is not here


@pytest.mark.slow
def test_a_database_is_made_without_a_wait_for_the_disk_and_then_kept_on_it(tmp_path):
    """MLflow itself would wait a thousand times, for seconds in all."""
    waits: list[int] = []

    def note(used: Connection) -> None:
        waits.append(used.exec_driver_sql("PRAGMA synchronous").scalar())

    event.remove(Engine, "connect", forgo_durability)
    event.listen(Engine, "commit", note)
    mask = os.umask(0o002)
    try:
        make_database(tmp_path / "new.db")
        assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o664  # SQLite itself would let no group write
        assert set(waits) == {0}
        waits.clear()
        store.connect(f"sqlite:///{tmp_path}/new.db").create_experiment("study")
    finally:
        os.umask(mask)
        event.remove(Engine, "commit", note)
        event.listen(Engine, "connect", forgo_durability)
    assert set(waits) == {2}, f"mlflow {PIN} keeps its connections elsewhere in {mlflow.__version__}"


@pytest.mark.parametrize("name", ["new.db", "50 % of it?.db"])
def test_a_start_that_is_killed_while_it_makes_the_database_leaves_no_part_of_it(
    tracking_uri, tmp_path, monkeypatch, name
):
    """With some of its tables there, MLflow would refuse every later start: "table ... already exists"."""
    content, file = (tmp_path / "mlflow.db").read_bytes(), tmp_path / name
    copy = tmp_path / f"{name}.new"
    copy.write_text("somebody's own")

    def make(uri: str, _: str, *, whole: bool) -> Mock:
        with sqlite_file(uri).open("r+b") as database:
            database.write(content if whole else content[:100_000])
        if not whole:
            raise KeyboardInterrupt
        return Mock()

    monkeypatch.setattr(sqlalchemy_store, "SqlAlchemyStore", partial(make, whole=False))
    with pytest.raises(KeyboardInterrupt):
        make_database(file)
    assert not file.exists()
    monkeypatch.setattr(sqlalchemy_store, "SqlAlchemyStore", partial(make, whole=True))
    make_database(file)
    assert file.read_bytes() == content
    assert copy.read_text() == "somebody's own"
    assert {path.name for path in tmp_path.iterdir() if name in path.name} == {name, copy.name}
