"""If two drivers use one storage behind a URI, the second says that the first is at work."""

import json
import time
from pathlib import Path

import pyarrow.fs
import pytest

from mixlab.errors import BadInput
from mixlab.processes import machine_of, runs_here, this_process
from mixlab.storage.claim import claimed

LOCAL = pyarrow.fs.LocalFileSystem()


def held_by(folder: Path, driver: str, beat: float) -> None:
    (folder / "driver.json").write_text(json.dumps({"driver": driver, "beat": beat}))


def test_a_folder_is_held_and_given_back(tmp_path: Path) -> None:
    with claimed(LOCAL, str(tmp_path)):
        assert json.loads((tmp_path / "driver.json").read_text())["driver"] == this_process()
    assert list(tmp_path.iterdir()) == []


def test_a_living_driver_of_another_machine_is_named(tmp_path: Path) -> None:
    held_by(tmp_path, "node7/pid:[1]#12@34", time.time() - 60)
    with pytest.raises(BadInput, match="on node7, is at work"), claimed(LOCAL, str(tmp_path)):
        pass
    assert (tmp_path / "driver.json").exists()


@pytest.mark.parametrize("driver", ["node7/pid:[1]#12@34", f"{machine_of(this_process())}#999999999@1"])
def test_a_dead_driver_holds_nothing(tmp_path: Path, driver: str) -> None:
    held_by(tmp_path, driver, time.time() - 300)
    with claimed(LOCAL, str(tmp_path)):
        pass


def test_a_killed_driver_of_this_machine_is_gone_at_once(tmp_path: Path) -> None:
    held_by(tmp_path, f"{machine_of(this_process())}#999999999@1", time.time())
    with claimed(LOCAL, str(tmp_path)):
        pass
    assert runs_here(this_process())
