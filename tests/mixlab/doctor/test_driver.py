"""The doctor's findings on the driver's machine, its MLflow store and its results: each is made, found, and fixed."""

import io
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

import mixlab
from mixlab.cluster import ray_private
from mixlab.doctor.checks import OK, RED, WARNING, Finding
from mixlab.doctor.driver import check_git, check_output, check_results, check_store, check_temporary, examine_driver
from mixlab.doctor.facts import Question
from mixlab.tracking import names
from mixlab.uris import sqlite_uri
from tests.mixlab.nobody import nobody
from tests.mixlab.test_provenance import git
from tests.mixlab.tracking.one_trial import tracker_of
from tests.servers.server import Handler, HttpServer, started


def require(finding: Finding, level: str, *parts: str) -> None:
    assert finding.level == level, finding
    assert bool(finding.fix) == (level != OK)
    assert "\n" not in finding.text
    for part in parts:
        assert part in f"{finding.text} {finding.fix}"


@pytest.mark.parametrize(
    ("folder", "level", "part"),
    [
        ("/tmp", OK, "/tmp"),
        ("/" + "t" * (ray_private.SHORT - 1), OK, "short enough"),
        ("/" + "t" * (ray_private.SHORT), WARNING, "letters"),
        ("/var/folders/" + "x" * 82, WARNING, "95 letters"),
        ("/tmp/büro", WARNING, "not ASCII"),
    ],
)
def test_the_temporary_folder_must_leave_room_for_sockets(folder, level, part):
    require(check_temporary(folder), level, part, *(["RAY_TMPDIR"] if level != OK else []))


def test_what_ray_is_told_counts_and_without_a_folder_for_sockets_no_study_can_start(tmp_path, monkeypatch):
    """Once its advice is followed, the doctor warns no more."""
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "t" * 60)
    monkeypatch.setenv("RAY_TMPDIR", "/dev/shm")
    asked = Question(f"sqlite:///{tmp_path}/none.db", str(tmp_path), "data", None, "")
    (temporary,) = [finding for finding in examine_driver(asked) if finding.check == "temporary"]
    require(temporary, OK, "/dev/shm is short enough")
    assert ray_private.folder() == Path("/dev/shm")
    monkeypatch.setattr("mixlab.doctor.driver.os.access", lambda *_: False)  # to /tmp
    require(check_temporary("/tmp/büro"), RED, "not ASCII", "RAY_TMPDIR")


@pytest.mark.parametrize(("encoding", "level"), [("utf-8", OK), ("ascii", WARNING), ("latin-1", WARNING)])
def test_an_output_that_cannot_show_every_letter(encoding, level):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    require(check_output(stream), level, *(["PYTHONIOENCODING=utf-8"] if level != OK else []))


def test_code_without_a_commit_that_git_shows(monkeypatch, tmp_path):
    code = Path(mixlab.__file__)
    monkeypatch.delenv("MIXLAB_COMMIT", raising=False)
    require(check_git(code), OK, "runs name ")
    monkeypatch.setenv("PATH", str(tmp_path))
    require(check_git(code), WARNING, f"git shows none for {code.parent}", "install git", "safe.directory")
    monkeypatch.setenv("MIXLAB_COMMIT", "0123456789abcdef")
    require(check_git(code), OK, "runs name 0123456789ab")


def test_the_repository_is_that_of_the_code_and_not_of_the_current_folder(tmp_path, monkeypatch):
    git(tmp_path, "init", "--quiet")
    monkeypatch.chdir(tmp_path)
    asked = Question("sqlite:///none.db", "results", "data", None, "")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))  # as git does for its hooks
    (commit,) = [finding for finding in examine_driver(asked) if finding.check == "commit"]
    assert str(tmp_path) not in commit.text
    monkeypatch.delenv("GIT_DIR")
    assert commit == check_git(Path(mixlab.__file__))


def test_a_store_that_is_an_mlflow_database(tracking_uri, tmp_path):
    require(check_store(tracking_uri), OK, "answers and can be written")
    assert examine_driver(Question(tracking_uri, str(tmp_path), "data", None, ""))[-1].check == "results"
    require(check_store(f"sqlite:///{tmp_path / 'none.db'}"), OK, "will be made")
    assert not (tmp_path / "none.db").exists()
    assert not (tmp_path / "mlruns").exists()


def test_the_server_of_a_database_is_asked(monkeypatch):
    uri = "postgresql://mlflow:secret@127.0.0.1:1/mlflow"
    monkeypatch.setattr("mixlab.tracking.store.ANSWER_SECONDS", 0.1)
    answers = "no MLflow store answers at --tracking-uri 'postgresql://mlflow:***@127.0.0.1:1/mlflow'"
    require(check_store(uri), RED, answers, "http:// address")
    monkeypatch.setattr("mixlab.tracking.store.connect", lambda uri, make: None)
    require(check_store(uri), OK, "postgresql://mlflow:***@127.0.0.1:1/mlflow answers")


def test_an_mlflow_server_is_asked_by_the_name_and_with_the_password_in_its_address():
    """A study can use a server that asks for a password, so the doctor must not call it red."""

    class Choosy(Handler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if not self.headers["Host"].startswith("localhost:"):
                self.reply(b"Invalid Host header\nmore", 403)
            elif self.headers["Authorization"] is None:
                self.reply(b"You are not authenticated", 401)
            else:
                self.reply(b"{}")

    with started(HttpServer(Choosy)) as server:
        require(check_store(server.url.replace("//", "//a:b@")), RED, "403", f"--allowed-hosts {server.url[7:]}")
        allowed = server.url.replace("127.0.0.1", "localhost")
        require(check_store(allowed), RED, "401", "not authenticated")
        require(check_store(allowed.replace("//", "//me:secret@")), OK, "//me:***@localhost:")


@pytest.mark.parametrize("name", ["mlflow.db", "50%20 off #1?.db"])
def test_files_that_are_no_store(tmp_path, name):
    """SQLite itself would read the second name as part of a URI, and open another file."""
    file = tmp_path / name
    uri = sqlite_uri(str(file))
    file.touch()
    require(check_store(uri), OK, "will be made")
    file.write_text("This is a text, and longer than the header of a database would be." * 20)
    require(check_store(uri), RED, "names a file that is not a database", "give that of MLflow")
    assert examine_driver(Question(uri, str(tmp_path), "data", None, ""))[-1].check == "store"
    assert list(tmp_path.iterdir()) == [file]
    require(check_store(sqlite_uri(file / "mlflow.db")), RED, "which is a file")
    (tmp_path / "mlruns").touch()
    file.unlink()
    require(check_store(uri), RED, "artifacts' folder", "write access")


@pytest.mark.parametrize("closed", ["mlflow.db", "."])
def test_a_database_that_cannot_be_written_is_not_taken_for_one_that_can(closed):
    """SQLite begins a transaction in such a file all the same, and makes its journal at the first write."""
    with tempfile.TemporaryDirectory() as name:  # where anybody may look, as not below pytest's
        folder, file = Path(name), Path(name, "mlflow.db")
        with sqlite3.connect(file) as database:
            database.execute("CREATE TABLE runs (name TEXT)")
        (folder / "mlruns").mkdir()
        for path, mode in ((folder, 0o777), (folder / "mlruns", 0o777), (file, 0o666), (folder / closed, 0o555)):
            path.chmod(mode)
        with nobody():
            finding = check_store(f"sqlite:///{file}")
        require(finding, RED, f"but '{folder / closed}' cannot be written", "give another file")


def results(uri: str, storage: Path | str) -> list[Finding]:
    return check_results(Question(uri, str(storage), "data", None, ""))


@pytest.fixture(params=["RUNNING", "KILLED"])
def begun(request, tracking_uri, tmp_path) -> tuple[str, Path]:
    """Return the store and the folder of results of a study with a trial under way."""
    tracker = tracker_of(MlflowClient(tracking_uri))
    tracker.open()
    run = tracker.client.create_run(tracker.experiment_id, tags={names.LEVEL: "seed", names.KEY: "k"})
    tracker.client.update_run(run.info.run_id, request.param)
    (tmp_path / "results" / "toy" / "trials").mkdir(parents=True)
    return tracking_uri, tmp_path / "results"


def test_a_folder_of_results_that_is_where_it_was_written_or_was_moved(begun, tmp_path):
    uri, storage = begun
    client = MlflowClient(uri)
    client.create_run(client.create_experiment("somebody else's"))
    client.create_run(client.create_experiment("in a bucket", "s3://bucket/mlruns"), tags={names.LEVEL: "study"})
    (finding,) = results(uri, storage)
    require(finding, OK, "every folder that ")
    assert results(f"sqlite:///{tmp_path / 'none.db'}", tmp_path) == []
    assert results("http://server:5000", tmp_path) == []
    shutil.move(storage, tmp_path / "elsewhere")
    assert results(uri, "s3://bucket/results")[0].level == OK  # no folder of this machine tells
    (finding,) = results(uri, storage)
    require(finding, WARNING, "trials of 'toy' were begun", "would start anew", "give --storage the folder")
    assert results(uri, tmp_path / "elsewhere")[0].level == OK


def test_a_database_that_was_moved_without_its_artifacts(begun, tmp_path):
    _, storage = begun
    (tmp_path / "new").mkdir()
    shutil.move(tmp_path / "mlflow.db", tmp_path / "new" / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    assert results(uri, storage)[0].level == OK  # the artifacts are where they were written
    shutil.move(tmp_path / "mlruns", tmp_path / "lost")
    (finding,) = results(uri, storage)
    require(finding, RED, "of the study 'toy' the artifacts are not in", "put the folder 'mlruns' next to the database")
    shutil.move(tmp_path / "lost", tmp_path / "new" / "mlruns")
    require(results(uri, storage)[0], OK, "every folder that ", " names is there")
