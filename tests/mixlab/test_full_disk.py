"""A disk that is full under the storage is said in one sentence, and the same command goes on once there is room."""

import subprocess
from pathlib import Path

import pytest

from tests.servers.machines import make_switch, run_on_the_switch, why_not
from tests.study_folder import toy_folder
from tests.toy import epochs_of

pytestmark = pytest.mark.slow


def mount(folder: Path, *options: str) -> None:
    """Give a folder a disk of its own in memory."""
    subprocess.run(["mount", "-t", "tmpfs", *options, "none", folder], check=True)


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_a_full_disk_is_a_sentence(tmp_path, new_store):
    new_store(tmp_path)
    run_on_the_switch(fill_the_disk, tmp_path)


def fill_the_disk(folder: Path) -> None:
    """Run where mounts are allowed."""
    make_switch()
    toy = toy_folder(folder, "large")
    disk = folder / "results"
    disk.mkdir()
    mount(disk, "-o", "size=1m")
    said = toy.run_here(code=1)
    sentence = said.splitlines()[-1]
    assert sentence.startswith("stopped, because there is no room left in --storage 'results' ([Errno 28] "), said
    assert sentence.endswith("every trial is kept up to its last checkpoint, and the same command goes on"), said
    assert "Traceback" not in said
    assert len(said.splitlines()) < 15, said
    assert [run.info.status for run in toy.runs()] == ["KILLED"] * 3, [run.data.tags for run in toy.runs()]

    with pytest.raises(OSError, match="No space"):
        (disk / "filler").write_bytes(bytes(2_000_000))
    refused = toy.run_here(code=2)
    assert refused.startswith("error: --storage 'results' cannot be written (")
    assert "No space left on device" in refused
    assert refused.count("\n") == 1

    (disk / "filler").unlink()
    mount(disk, "-o", "remount,size=100m")
    toy.run_here()
    assert epochs_of(folder) == {0: [1, 2, 2, 3]}  # the second had no room
    assert toy.statuses() == {"FINISHED"}
