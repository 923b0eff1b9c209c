"""What killed trials leave in the temporary folder is removed, and nothing that a living one still needs."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mixlab.cluster.temporary import PREFIX, remove_abandoned, temporary_folder

KILLED = """
import os, signal
from mixlab.cluster.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "model.pt").write_bytes(b"weights")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """Return the temporary folder of this process and of those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def age(folder: Path) -> None:
    """Make a folder an hour old."""
    os.utime(folder, (time.time() - 3600,) * 2)


def test_a_folder_that_nobody_holds_is_removed_once_nobody_is_about_to(place):
    folder = place / f"{PREFIX}0"
    (folder / "state").mkdir(parents=True)
    remove_abandoned()
    assert folder.exists()
    age(folder)
    remove_abandoned()
    assert not folder.exists()


@pytest.mark.slow
def test_what_a_killed_process_leaves_is_removed(place):
    assert subprocess.run([sys.executable, "-c", KILLED]).returncode == -9
    (left,) = place.iterdir()
    age(left)
    remove_abandoned()
    assert not left.exists()


def test_the_folder_of_a_living_process_and_those_of_others_stay(place):
    other = place / "mixlab-other"
    other.mkdir()
    age(other)
    with temporary_folder() as folder:
        assert folder.name.startswith(PREFIX)
        (folder / "teacher.pt").write_bytes(b"weights")
        age(folder)
        remove_abandoned()
        assert (folder / "teacher.pt").exists()
    assert list(place.iterdir()) == [other]
