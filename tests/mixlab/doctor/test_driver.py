"""The doctor's findings on the driver's machine: each condition is made, found, and given its fix."""

import io
import sqlite3
import subprocess
from pathlib import Path

import pytest

from mixlab.doctor.checks import OK, RED, WARNING, Finding
from mixlab.doctor.driver import RAY_ADDS, check_git, check_output, check_store, check_temporary


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
        ("/" + "t" * (107 - RAY_ADDS - 1), OK, "short enough"),
        ("/" + "t" * (107 - RAY_ADDS), WARNING, "letters"),
        ("/var/folders/" + "x" * 82, WARNING, "95 letters"),
        ("/tmp/büro", WARNING, "not ASCII"),
    ],
)
def test_the_temporary_folder_must_leave_room_for_sockets(folder: str, level: str, part: str) -> None:
    require(check_temporary(folder), level, part, *(["RAY_TMPDIR"] if level != OK else []))


@pytest.mark.parametrize(("encoding", "level"), [("utf-8", OK), ("ascii", WARNING), ("latin-1", WARNING)])
def test_an_output_that_cannot_show_every_letter(encoding: str, level: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    finding = check_output(stream)
    require(finding, level, *(["PYTHONIOENCODING=utf-8"] if level != OK else []))


def test_a_folder_without_a_commit_and_one_that_git_does_not_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MIXLAB_COMMIT", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    require(check_git(tmp_path), WARNING, "no repository", "clone")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", tmp_path, *author, "commit", "-qm", "First", "--allow-empty"], check=True)
    require(check_git(tmp_path), OK, "git names")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    require(check_git(tmp_path), WARNING, "another user", f"safe.directory {tmp_path}")
    monkeypatch.setenv("PATH", str(tmp_path))
    require(check_git(tmp_path), WARNING, "git is missing", "install git")
    monkeypatch.setenv("MIXLAB_COMMIT", "0123456789abcdef")
    require(check_git(tmp_path), OK, "0123456789ab")


def test_a_store_that_is_an_mlflow_database(tracking_uri: str, tmp_path: Path) -> None:
    require(check_store(tracking_uri), OK, "MLflow database")
    require(check_store(f"sqlite:///{tmp_path / 'none.db'}"), OK, "will be made")
    require(check_store("http://server:5000"), OK, "no file")
    assert not (tmp_path / "none.db").exists()
    assert not (tmp_path / "mlruns").exists()


def test_a_store_that_another_program_holds(tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixlab.doctor.driver.LOCK_SECONDS", 0.01)
    holder = sqlite3.connect(tmp_path / "mlflow.db")
    holder.execute("BEGIN EXCLUSIVE")
    require(check_store(tracking_uri), RED, "locked", "end the program")
    holder.close()


def test_a_store_of_another_version_of_mlflow(tracking_uri: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
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
