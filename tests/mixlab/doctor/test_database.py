"""The doctor's findings on an MLflow store in a file, and on results that were moved without it, or it without them."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from mixlab.doctor.checks import OK, RED, WARNING, Finding
from mixlab.doctor.driver import check_results, check_store
from mixlab.doctor.facts import Question
from mixlab.provenance import Provenance
from mixlab.tracking import names
from mixlab.tracking.tracker import Tracker
from mixlab.tracking.trial_runs import Tracked
from tests.mixlab.doctor.findings import require


def test_a_store_that_is_an_mlflow_database(tracking_uri: str, tmp_path: Path) -> None:
    require(check_store(tracking_uri), OK, "MLflow database")
    require(check_store(f"sqlite:///{tmp_path / 'none.db'}"), OK, "will be made")
    require(check_store("http://server:5000"), OK, "no file")
    assert not (tmp_path / "none.db").exists()
    assert not (tmp_path / "mlruns").exists()


def test_a_store_that_another_program_holds_or_of_another_version_of_mlflow(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixlab.doctor.driver.LOCK_SECONDS", 0.01)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("BEGIN EXCLUSIVE")
        require(check_store(tracking_uri), RED, "locked", "end the program")
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    require(check_store(tracking_uri), RED, "another version of MLflow", "mlflow db upgrade")


def test_files_that_are_no_store(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    uri = f"sqlite:///{file}"
    file.touch()
    require(check_store(uri), WARNING, "empty", "remove it")
    file.write_text("This is a text, and longer than the header of a database would be." * 20)
    require(check_store(uri), RED, "no SQLite database", "--tracking-uri")
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE photographs (name TEXT)")
    require(check_store(uri), RED, "something else, with tables photographs", "--tracking-uri")
    (tmp_path / "file").write_text("")
    require(check_store(f"sqlite:///{tmp_path}/file/mlflow.db"), RED, "artifacts' folder", "write access")


def results(uri: str, storage: Path) -> list[Finding]:
    return check_results(Question(uri, str(storage), "data", None, ""))


@pytest.fixture
def begun(tracking_uri: str, tmp_path: Path) -> tuple[str, Path]:
    """Return the store and the folder of results of a study with a trial under way."""
    plan = {"study": "toy", "preset": "paper", "metric": "rmse"}
    tracked = Tracked("toy", "0123", plan, names.STUDY_LEVELS, {"plain": "plain"})
    tracker = Tracker(MlflowClient(tracking_uri), tracked, Provenance("c", False, "", {}))
    tracker.open()
    tracker.client.create_run(tracker.experiment_id, tags={names.LEVEL: "seed", names.KEY: "k"})
    (tmp_path / "results" / "toy" / "trials").mkdir(parents=True)
    return tracking_uri, tmp_path / "results"


def test_a_folder_of_results_that_is_where_it_was_written_or_was_moved(begun: tuple[str, Path], tmp_path: Path) -> None:
    uri, storage = begun
    (finding,) = results(uri, storage)
    require(finding, OK, "where it was written")
    assert results(f"sqlite:///{tmp_path / 'none.db'}", tmp_path) == []
    assert results("http://server:5000", tmp_path) == []
    shutil.move(storage, tmp_path / "elsewhere")
    (finding,) = results(uri, storage)
    require(finding, WARNING, "trials of 'toy' were begun", "would start anew", "give --storage the folder")
    assert results(uri, tmp_path / "elsewhere")[0].level == OK


def test_a_database_that_was_moved_without_its_artifacts(begun: tuple[str, Path], tmp_path: Path) -> None:
    _, storage = begun
    (tmp_path / "new").mkdir()
    shutil.move(tmp_path / "mlflow.db", tmp_path / "new" / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    assert results(uri, storage)[0].level == OK  # the artifacts are where they were written
    shutil.move(tmp_path / "mlruns", tmp_path / "lost")
    (finding,) = results(uri, storage)
    require(finding, RED, "of the study 'toy' the artifacts are not in", "put the folder 'mlruns' next to the database")
    shutil.move(tmp_path / "lost", tmp_path / "new" / "mlruns")
    assert results(uri, storage)[0].level == OK
