"""A disk that is full under the storage is said in one sentence, and the same command goes on once there is room."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mixlab.tracking import artifacts
from tests.servers.program import run_alone
from tests.study_folder import toy_folder
from tests.toy import epochs_of, hold, release

MOUNTS = ("unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "--mount")


def mount(folder: Path, *options: str) -> None:
    """Give a folder a disk of its own in memory."""
    subprocess.run(["mount", "-t", "tmpfs", *options, "none", folder], check=True)


def with_mounts(command: Sequence[str]) -> list[str]:
    return [*MOUNTS, *command]


def why_not() -> str:
    """Return why no disk can be mounted here; an empty text if it can."""
    done = subprocess.run(with_mounts(["mount", "-t", "tmpfs", "none", "/mnt"]), capture_output=True, text=True)
    return f"the kernel grants no mounts: {done.stderr.strip()}" if done.returncode else ""


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_a_full_disk_is_a_sentence(tmp_path, new_store):
    new_store(tmp_path)
    run_alone(__file__, tmp_path, with_mounts)


def fill_the_disk(folder: Path) -> None:
    """Run where mounts are allowed."""
    shutil.copy(folder / "mlflow.db", folder / "empty.db")
    toy = toy_folder(folder, "large")
    disk = folder / "results"
    disk.mkdir()
    mount(disk, "-o", "size=1m")
    said = toy.run_here(code=1)
    sentence = said.splitlines()[-1]
    assert sentence.startswith("stopped, because there is no room left in --storage 'results' ([Errno 28] "), said
    assert sentence.endswith("finished epochs are kept, and the same command goes on"), said
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
    fill_the_artifacts(folder / "artifacts")


def fill_the_artifacts(folder: Path) -> None:
    """Check the same for a disk that has room for a run's configuration and none for its files."""
    toy = toy_folder(folder, "large", empty_store=folder.parent / "empty.db")
    (folder / "mlruns").mkdir()
    mount(folder / "mlruns", "-o", "size=1m")
    hold(folder, epoch=3)
    driver = toy.start()
    driver.until(lambda: epochs_of(folder) == {0: [1, 2]})
    with pytest.raises(OSError, match="No space"):
        (folder / "mlruns" / "filler").write_bytes(bytes(2_000_000))
    release(folder)
    said = driver.finish(code=1)
    assert "mlflow.db has no room. Nothing is lost: what it lacks is kept under results" in said
    assert "and the same command writes it ([Errno 28] No space left on device: '" in said.splitlines()[-1], said
    assert toy.statuses() == {"KILLED"}

    began = time.monotonic()
    refused = toy.run_here(code=2)
    assert time.monotonic() - began < 20  # 5 seconds after the imports
    assert refused.startswith("error: cannot write to MLflow at ")
    assert "No space left on device" in refused
    assert refused.count("\n") == 1

    (folder / "mlruns" / "filler").unlink()
    toy.run_here()
    assert epochs_of(folder) == {0: [1, 2, 3]}
    assert toy.statuses() == {"FINISHED"}
    (run,) = toy.runs("seed")
    assert artifacts.read(toy.client, run.info.run_id, "model.pt") == b"weights of seed 0"


if __name__ == "__main__":
    fill_the_disk(Path(sys.argv[1]))
