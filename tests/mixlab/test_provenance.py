"""Provenance is that of the code that runs, whatever the working folder and the encoding of its files."""

import functools
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mixlab import provenance
from mixlab.doctor.checks import OK, WARNING
from mixlab.doctor.driver import check_git
from mixlab.provenance import collect

AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *AUTHOR, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def head_of(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return a repository with a study and a folder ``platform``, which each test gets a copy of."""
    folder = tmp_path_factory.mktemp("made") / "ours"
    (folder / "platform").mkdir(parents=True)
    (folder / "study.py").write_text("epochs = 1\n")
    (folder / "platform" / "provenance.py").write_text("")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "First")
    return folder


@pytest.fixture
def repository(made, tmp_path, monkeypatch) -> Path:
    """Return a repository with a study; mixlab itself lies in it too, as far as the provenance knows."""
    monkeypatch.delenv("MIXLAB_COMMIT", raising=False)
    folder = shutil.copytree(made, tmp_path / "ours")
    monkeypatch.setattr(provenance, "__file__", str(folder / "platform" / "provenance.py"))
    return folder


@pytest.fixture
def foreign(made, tmp_path) -> Path:
    """Return another repository, whose commit is another."""
    folder = shutil.copytree(made, tmp_path / "foreign")
    git(folder, "commit", "-qm", "Second", "--allow-empty")
    return folder


@pytest.mark.slow
def test_the_commit_is_that_of_the_code_wherever_it_is_started(repository, foreign, monkeypatch):
    for folder in (repository, foreign, foreign.parent):
        monkeypatch.chdir(folder)
        found = collect(repository / "study.py", functools.partial(print))  # installed code is no change
        assert (found.commit, found.dirty, found.diff) == (head_of(repository), False, "")
        assert found.tags["mixlab.patch"] == "none"


@pytest.mark.slow
def test_untracked_sources_and_files_that_are_not_utf8_are_in_the_patch(repository):
    (repository / "new_mixer.py").write_text("def mix():\n    return 42\n")
    (repository / "study.py").write_bytes("name = 'Größe'\n".encode("latin-1"))
    (repository / "notes.txt").write_text("no source")
    found = collect(repository / "study.py")
    assert found.dirty
    assert "+    return 42" in found.diff
    assert "+name = 'Gr\ufffd\ufffde'" in found.diff
    assert "notes.txt" not in found.diff
    assert found.tags["mixlab.patch"] == found.patch == hashlib.sha256(found.diff.encode()).hexdigest()[:12]
    (repository / "new_mixer.py").write_text("def mix():\n    return 43\n")
    assert collect(repository / "study.py").patch != found.patch


@pytest.mark.slow
def test_a_study_and_a_trainable_outside_any_repository_are_in_the_patch_with_what_they_import(
    repository, tmp_path, monkeypatch
):
    """Two starts with different code must not have the same patch."""
    package = tmp_path / "my_package"  # without an __init__.py, such a package has no file
    package.mkdir()
    (tmp_path / "mine.py").write_text("epochs = 7\n")
    (package / "my_trainable.py").write_text("from my_package import my_model\nclass Mine: ...\n")
    (package / "my_model.py").write_text("layers = 3\n")
    (package / "nobody_imports_it.py").write_text("layers = 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    trainable = importlib.import_module("my_package.my_trainable").Mine()
    before = collect(tmp_path / "mine.py", trainable)
    assert before.commit == head_of(repository)
    for line, there in {"+epochs = 7": True, "+class Mine": True, "+layers = 3": True, "+layers = 5": False}.items():
        assert (line in before.diff) is there
    (package / "my_model.py").write_text("layers = 4\n")
    assert collect(tmp_path / "mine.py", trainable).patch != before.patch


def test_a_trainable_of_another_repository_names_its_own_commit(repository, foreign, monkeypatch):
    module = ModuleType("their_trainable")
    module.__file__ = str(foreign / "study.py")
    monkeypatch.setitem(sys.modules, "their_trainable", module)
    trainable = type("Theirs", (), {"__module__": "their_trainable"})()
    assert collect(repository / "study.py", trainable).commit == head_of(foreign)


@pytest.mark.parametrize("noted", [{"vcs_info": {"vcs": "git", "commit_id": "5" * 40}}, {"dir_info": {}}, None])
def test_the_commit_of_what_pip_has_installed_is_the_one_that_it_has_noted(tmp_path, monkeypatch, noted):
    monkeypatch.delenv("MIXLAB_COMMIT", raising=False)
    package = tmp_path / "site-packages" / "mixlab"
    information = tmp_path / "site-packages" / "mixlab-9.dist-info"
    for folder in (package, information):
        folder.mkdir(parents=True)
    (package / "provenance.py").write_text("")
    (information / "METADATA").write_text("Name: mixlab\nVersion: 9\n")
    if noted:
        (information / "direct_url.json").write_text(json.dumps({"url": "https://example.org/mixlab", **noted}))
    (tmp_path / "mine.py").write_text("epochs = 7\n")
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))
    commit = "5" * 40 if noted and "vcs_info" in noted else "unknown"
    found = collect(tmp_path / "mine.py")
    assert (found.commit, found.dirty) == (commit, True)
    assert "+epochs = 7" in found.diff
    assert collect(package / "provenance.py").dirty == (commit == "unknown")
    assert check_git(package / "provenance.py").level == (OK if commit != "unknown" else WARNING)


@pytest.mark.parametrize("image", ["", "0" * 40])
def test_without_git_nothing_is_known_but_the_commit_that_an_image_names(repository, tmp_path, monkeypatch, image):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MIXLAB_COMMIT", image)
    found = collect(repository / "study.py")
    expected = (image, False, "") if image else ("unknown", True, "unknown")
    assert (found.commit, found.dirty, found.patch) == expected


@pytest.mark.parametrize("readable", [True, False])
def test_code_of_no_repository_is_not_said_to_be_clean(repository, monkeypatch, readable):
    """Two starts with different code must not be recorded alike. Git also reads no repository of another user."""
    if readable:
        shutil.rmtree(repository / ".git")
    else:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found = collect(repository / "study.py")
    assert (found.commit, found.dirty) == ("unknown", True)
    assert "+epochs = 1" in found.diff
    assert collect(repository / "notebook").tags["mixlab.dirty"] == "true"


def test_a_notebook_and_a_repository_without_a_commit_are_not_said_to_be_clean(repository):
    """No commit holds the cells of a notebook."""
    found = collect(repository / "notebook")
    assert (found.commit, found.dirty, found.patch) == (head_of(repository), True, "unknown")
    git(repository, "update-ref", "-d", "HEAD")
    found = collect(repository / "study.py")
    assert (found.commit, found.dirty, found.patch) == ("unknown", True, "unknown")


@pytest.mark.slow
def test_the_repository_is_that_of_the_code_whatever_one_the_environment_names(repository, foreign, monkeypatch):
    """Git names its own repository to a hook, from which a study may be started."""
    head, theirs = head_of(repository), str(foreign / ".git")
    named = {"GIT_DIR": theirs, "GIT_WORK_TREE": str(foreign), "GIT_INDEX_FILE": f"{theirs}/index"}
    for name, value in {**named, "GIT_LITERAL_PATHSPECS": "1"}.items():
        monkeypatch.setenv(name, value)
    found = collect(repository / "study.py")
    assert (found.commit, found.dirty) == (head, False)
    (repository / "new_mixer.py").write_text("def mix():\n    return 42\n")
    found = collect(repository / "study.py")
    assert (found.commit, found.dirty) == (head, True)
    assert "return 42" in found.diff
    assert os.environ["GIT_DIR"] == theirs


@pytest.mark.parametrize("failing", ["diff", "ls-files"])
def test_changes_that_cannot_be_read_are_not_said_to_be_none(repository, monkeypatch, failing):
    """A "git diff" of a large repository on a slow disk may take longer than it is given."""
    run = subprocess.run

    def slow(command: list[str], **options: Any) -> Any:
        if command[1] == failing:
            raise subprocess.TimeoutExpired(command, 30)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", slow)
    found = collect(repository / "study.py")
    assert (found.dirty, found.diff) == (True, "")
    assert (found.tags["mixlab.dirty"], found.tags["mixlab.patch"]) == ("true", "unknown")


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["diff.external=true", "color.ui=always"])
def test_the_changes_are_a_patch_however_the_user_looks_at_changes(repository, setting, monkeypatch):
    """A program that shows them in a window of its own prints nothing."""
    (repository / "study.py").write_text("epochs = 2\n")
    usual = collect(repository / "study.py").diff
    name, value = setting.split("=")
    git(repository, "config", name, value)
    found = collect(repository / "study.py")
    assert found.dirty
    assert found.diff == usual
    assert "+epochs = 2" in found.diff
