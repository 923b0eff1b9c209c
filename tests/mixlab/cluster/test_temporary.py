"""What killed trials leave in the temporary folder is removed, and nothing that a living one still needs."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from mixlab.cluster.temporary import PREFIX, remove_abandoned, temporary_folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """Return the temporary folder of this process and of those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def age(folder: Path) -> None:
    """Make a folder an hour old."""
    os.utime(folder, (time.time() - 3600,) * 2)


def test_a_folder_that_nobody_holds_or_is_about_to_is_removed_and_all_others_stay(place):
    other, new, left = (place / name for name in ("mixlab-other", f"{PREFIX}0", f"{PREFIX}1"))
    for folder in (other, new, left):
        (folder / "state").mkdir(parents=True)
    age(other)
    age(left)
    with temporary_folder() as living:
        assert living.name.startswith(PREFIX)
        age(living)
        remove_abandoned()
        assert set(place.iterdir()) == {other, new, living}
    assert set(place.iterdir()) == {other, new}
