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


@pytest.mark.slow
def test_what_a_killed_process_leaves_is_removed(place):
    assert subprocess.run([sys.executable, "-c", KILLED]).returncode == -9
    (left,) = place.iterdir()
    age(left)
    remove_abandoned()
    assert not left.exists()


def test_a_folder_that_nobody_holds_or_is_about_to_is_removed_and_all_others_stay(place):
    other, new, left = (place / name for name in ("mixlab-other", f"{PREFIX}0", f"{PREFIX}1"))
    for folder in (other, new, left):
        (folder / "state").mkdir(parents=True)
    age(other)
    age(left)
    with temporary_folder() as living:
        age(living)
        remove_abandoned()
        assert set(place.iterdir()) == {other, new, living}
    assert set(place.iterdir()) == {other, new}
