"""One of two drivers that use a storage behind a URI is at work, and the other says who that is."""

import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import psutil
import pyarrow.fs
import pytest

from mixlab import processes
from mixlab.errors import BadInput
from mixlab.processes import machine_of, name_of, runs_here, this_process
from mixlab.storage import claim
from mixlab.storage.claim import claimed

LOCAL = pyarrow.fs.LocalFileSystem()
NODE7 = "node7/pid:[1]#12@34"
DEAD_HERE = f"{machine_of(this_process())}#999999999@1"


def held_by(folder: Path, driver: str, written: float, since: float = 1_700_000_000.0) -> Path:
    file = folder / f"{quote(driver, safe='')}.json"
    file.write_text(json.dumps({"name": driver, "since": since, "at_work": True}))
    os.utime(file, (written, written))
    return file


def fail(sentence: str) -> None:
    raise AssertionError(sentence)


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "5", '{"name": 5, "since": 1.0, "at_work": true}', '{"name": "n", "since": "x", "at_work": 1}'),
        *(json.dumps({"name": "n", "since": since, "at_work": True}) for since in (1e300, 1e18, "NaN")),
    ],
)
def test_what_is_no_drivers_file_is_of_one_that_asks(content: str, tmp_path: Path) -> None:
    """Its name is that of the file, which is removed once it is old."""
    file = held_by(tmp_path, NODE7, time.time() - 60)
    file.write_text(content)
    os.utime(file, (time.time() - 60, time.time() - 60))
    with pytest.raises(BadInput, match=r"on node7 \(process 12\)"), claimed(LOCAL, str(tmp_path), fail, me="z#1@1"):
        pass
    os.utime(file, (time.time() - 300, time.time() - 300))
    with claimed(LOCAL, str(tmp_path), fail, me="z#1@1"):
        assert not file.exists()


def test_a_folder_among_the_drivers_files_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "driver.json").mkdir()
    with claimed(LOCAL, str(tmp_path), fail):
        assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_is_held_and_given_back(tmp_path: Path) -> None:
    with claimed(LOCAL, str(tmp_path), fail):
        (file,) = tmp_path.iterdir()
        assert json.loads(file.read_text())["name"] == this_process()
        assert json.loads(file.read_text())["at_work"]
    assert list(tmp_path.iterdir()) == []


def test_a_living_driver_of_another_machine_is_named(tmp_path: Path) -> None:
    file = held_by(tmp_path, NODE7, time.time() - 60)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_700_000_000))
    with (
        pytest.raises(BadInput, match=rf"on node7 \(process 12\), is at work in this storage since {since}: wait"),
        claimed(LOCAL, str(tmp_path), fail),
    ):
        pass
    assert list(tmp_path.iterdir()) == [file]


def test_a_living_driver_of_a_machine_with_the_same_name_is_not_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boot_id").write_text("1-2-3\n")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(processes, "BOOT", tmp_path / "boot_id")
        other = this_process().partition("#")[0] + "#999999999@1"  # no process of that number runs here
    (folder := tmp_path / "drivers").mkdir()
    file = held_by(folder, other, time.time() - 60)
    with (
        pytest.raises(BadInput, match=r"another start of this study, on .* \(process 999999999\)"),
        claimed(LOCAL, str(folder), fail),
    ):
        pass
    assert file.exists()


@pytest.mark.parametrize("driver", [NODE7, DEAD_HERE])
def test_a_dead_driver_holds_nothing(tmp_path: Path, driver: str) -> None:
    file = held_by(tmp_path, driver, time.time() - 300)
    with claimed(LOCAL, str(tmp_path), fail):
        assert not file.exists()


def test_a_killed_driver_of_this_machine_is_gone_at_once(tmp_path: Path) -> None:
    held_by(tmp_path, DEAD_HERE, time.time())
    with claimed(LOCAL, str(tmp_path), fail):
        pass
    assert runs_here(this_process())


def test_a_living_driver_is_known_after_its_machines_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a process's start, by the clock of the day, then becomes another."""
    me, started = this_process(), psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: started(process) + 3600)
    assert runs_here(me)


def test_drivers_of_one_machine_may_share_a_claim(tmp_path: Path) -> None:
    neighbour = f"{machine_of(this_process())}#{name_of(os.getppid())}"
    with claimed(LOCAL, str(tmp_path), fail, neighbours=True, me=neighbour):
        with claimed(LOCAL, str(tmp_path), fail, neighbours=True):
            assert len(list(tmp_path.iterdir())) == 2
        with pytest.raises(BadInput, match="at work"), claimed(LOCAL, str(tmp_path), fail):
            pass
        with pytest.raises(BadInput, match="at work"), claimed(LOCAL, str(tmp_path), fail, neighbours=True, me=NODE7):
            pass


def test_of_many_that_start_at_once_one_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "LOOK_SECONDS", 0.005)
    gate, counting = threading.Barrier(8), threading.Lock()
    at_work, most, refused = 0, 0, []

    def start(number: int) -> None:
        nonlocal at_work, most
        gate.wait()
        try:
            with claimed(LOCAL, str(tmp_path), fail, me=f"node{number}/pid:[1]#1@1"):
                with counting:
                    at_work += 1
                    most = max(most, at_work)
                time.sleep(0.2)
                with counting:
                    at_work -= 1
        except BadInput as error:
            refused.append(str(error))

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert len(refused) == 7


@pytest.mark.parametrize("taken_over", ["and is at work", "and is done"])
def test_a_driver_that_was_taken_for_dead_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken_over: str
) -> None:
    monkeypatch.setattr("mixlab.processes.BEAT_SECONDS", 0.01)
    lost = threading.Event()
    with claimed(LOCAL, str(tmp_path), lambda sentence: lost.set()):
        if taken_over == "and is done":
            next(tmp_path.iterdir()).unlink()
        else:
            held_by(tmp_path, NODE7, time.time(), since=time.time() + 1)
        assert lost.wait(10)


def test_the_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixlab.processes.BEAT_SECONDS", 0.01)
    with claimed(LOCAL, str(tmp_path), fail):
        (file,) = tmp_path.iterdir()
        first = file.stat().st_mtime_ns
        for _ in range(1000):
            if file.stat().st_mtime_ns > first and file.read_text():
                break
            time.sleep(0.01)
        assert file.stat().st_mtime_ns > first


@pytest.mark.parametrize("ahead", [-18_000.0, 18_000.0], ids=["five hours behind", "five hours ahead"])
def test_the_clock_of_the_storage_decides_and_no_machines_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    """This machine's clock is set while a driver of another works, and after that one has died."""
    true = time.time
    other = held_by(tmp_path, NODE7, true() - 60, since=true() - 3_600)
    monkeypatch.setattr(claim, "time", SimpleNamespace(**vars(time) | {"time": lambda: true() + ahead}))
    with pytest.raises(BadInput, match="at work"), claimed(LOCAL, str(tmp_path), fail):
        pass
    os.utime(other, (true() - 300, true() - 300))
    with claimed(LOCAL, str(tmp_path), fail):
        assert not other.exists()


def test_a_driver_that_asks_and_dies_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(claim, "GONE_SECONDS", 0.3)
    asking = tmp_path / f"{quote('zzz/pid:[1]#1@1', safe='')}.json"
    asking.write_text(json.dumps({"name": "zzz/pid:[1]#1@1", "since": time.time(), "at_work": False}))
    with claimed(LOCAL, str(tmp_path), fail, me="node1/pid:[1]#1@1"):
        assert not asking.exists()
