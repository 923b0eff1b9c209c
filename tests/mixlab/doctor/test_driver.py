"""The doctor's findings on the driver's machine: each condition is made, found, and given its fix."""

import io
import subprocess
import tempfile
from pathlib import Path

import pytest

import mixlab
from mixlab.cluster import ray_private
from mixlab.doctor.checks import OK, WARNING
from mixlab.doctor.driver import check_git, check_output, check_temporary, examine_driver
from mixlab.doctor.facts import Question
from tests.mixlab.doctor.findings import require


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
def test_the_temporary_folder_must_leave_room_for_sockets(folder: str, level: str, part: str) -> None:
    require(check_temporary(folder), level, part, *(["RAY_TMPDIR"] if level != OK else []))


def test_what_ray_is_told_counts_and_the_disk_is_that_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the fix that it named, the doctor went on warning of the other folder."""
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "t" * 60)
    monkeypatch.setenv("RAY_TMPDIR", "/dev/shm")
    asked = Question("http://server:5000", str(tmp_path), "data", None, "")
    (temporary,) = [finding for finding in examine_driver(asked) if finding.check == "temporary"]
    require(temporary, OK, "/dev/shm is short enough")
    assert ray_private.folder() == Path("/dev/shm")


@pytest.mark.parametrize(("encoding", "level"), [("utf-8", OK), ("ascii", WARNING), ("latin-1", WARNING)])
def test_an_output_that_cannot_show_every_letter(encoding: str, level: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    finding = check_output(stream)
    require(finding, level, *(["PYTHONIOENCODING=utf-8"] if level != OK else []))


def test_code_without_a_commit_and_code_that_git_does_not_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MIXLAB_COMMIT", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    code = tmp_path / "package" / "code.py"
    code.parent.mkdir()
    code.write_text("1\n")

    def git(*arguments: str) -> None:
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", tmp_path, *author, *arguments], check=True)

    require(check_git(code), WARNING, "no repository", "clone")
    git("init", "--quiet")
    require(check_git(code), WARNING, "no repository with a commit", "clone")
    git("add", ".")
    git("commit", "-qm", "First")
    require(check_git(code), OK, "git names", f"for {code.parent}")
    code.write_text("2\n")
    require(check_git(code), OK, "changes that are not committed")
    (tmp_path / ".gitignore").write_text("venv\n")
    installed = tmp_path / "venv" / "code.py"
    installed.parent.mkdir()
    installed.touch()
    require(check_git(installed), WARNING, "a repository that ignores it", "pip install -e")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    require(check_git(code), WARNING, "another user", f"safe.directory {tmp_path}")
    monkeypatch.setenv("PATH", str(tmp_path))
    require(check_git(code), WARNING, "git is missing", "install git")
    monkeypatch.setenv("MIXLAB_COMMIT", "0123456789abcdef")
    require(check_git(code), OK, "0123456789ab")


def test_the_repository_is_that_of_the_code_and_not_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    asked = Question("http://server:5000", "results", "data", None, "")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))  # as git does for its hooks
    (commit,) = [finding for finding in examine_driver(asked) if finding.check == "commit"]
    assert str(tmp_path) not in commit.text
    monkeypatch.delenv("GIT_DIR")
    assert commit == check_git(Path(mixlab.__file__))
