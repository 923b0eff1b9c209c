"""A second driver of a plan is refused in a store that cannot be locked, and told who the first one is."""

import os
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from rich.console import Console

from mixlab import Options
from mixlab.errors import BadInput
from mixlab.launching import one_driver
from mixlab.launching.one_driver import only_writer
from mixlab.launching.start import Start
from mixlab.processes import machine_of, name_of, this_process
from mixlab.tracking import driver_tag
from mixlab.tracking.driver_tag import OtherDriver, tagged
from tests.mixlab.search_toy import TRAIN
from tests.waiting import wait_for

NEIGHBOUR = f"{machine_of(this_process())}#{name_of(os.getppid())}"
DEAD_HERE = f"{machine_of(this_process())}#999999999@1"
NODE7 = "node7/1-2 pid:[1]#12@34"
NAME = "mixlab driver of 0123"


class Store:
    """An experiment, and the tag of its drivers."""

    def __init__(self, client: MlflowClient) -> None:
        self.client = client
        self.experiment = client.create_experiment("toy")
        self.said: list[str] = []
        self.lost = threading.Event()

    @property
    def tag(self) -> str | None:
        return self.client.get_experiment(self.experiment).tags.get(NAME)

    def write(self, driver: str, beat: int = 1) -> None:
        self.client.set_experiment_tag(self.experiment, NAME, f"{driver} {beat}")

    def tagged(self) -> AbstractContextManager[None]:
        return tagged(self.client, self.experiment, "0123", self.said.append, lambda sentence: self.lost.set())


@pytest.fixture
def found(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(driver_tag, "LOOK_SECONDS", 0.01)
    return Store(MlflowClient(tracking_uri))


@pytest.mark.parametrize("other", ["", DEAD_HERE, this_process()], ids=["nobody", "killed", "this process before"])
def test_a_plan_is_held_at_once_and_given_back(found: Store, other: str) -> None:
    if other:
        found.write(other)
    with found.tagged():
        assert found.tag == f"{this_process()} 1"
    assert found.tag is None
    assert not found.said


def test_a_living_driver_of_this_machine_is_named_at_once(found: Store) -> None:
    found.write(NEIGHBOUR)
    with pytest.raises(OtherDriver, match=rf"^on .+ \(process {os.getppid()}\)$"), found.tagged():
        pass
    assert found.tag == f"{NEIGHBOUR} 1"
    assert not found.said


@pytest.mark.parametrize("beats", [True, False])
def test_a_driver_of_another_machine_is_watched(found: Store, monkeypatch: pytest.MonkeyPatch, beats: bool) -> None:
    monkeypatch.setattr(driver_tag, "WATCH_SECONDS", 10 if beats else 0.2)
    found.write(NODE7)
    if beats:
        threading.Timer(0.1, found.write, (NODE7, 2)).start()
        with pytest.raises(OtherDriver, match=r"^on node7 \(process 12\)$"), found.tagged():
            pass
        return
    with found.tagged():
        assert found.tag == f"{this_process()} 1"
    assert found.said[0].startswith("A start of this study on node7 (process 12) has not ended as usual, or is still")


def test_of_two_that_start_at_once_the_first_gives_way(found: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_tag.time, "sleep", lambda seconds: found.write(NEIGHBOUR))
    with pytest.raises(OtherDriver), found.tagged():
        pass
    assert found.tag == f"{NEIGHBOUR} 1"


def test_the_heart_beats_until_another_driver_has_taken_over(found: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixlab.processes.BEAT_SECONDS", 0.01)
    with found.tagged():
        wait_for(lambda: int(str(found.tag).rpartition(" ")[2]) > 2)
        assert not found.lost.is_set()
        while not found.lost.wait(0.05):  # a beat may be between its look and its write
            found.write(NODE7)
    assert str(found.tag).startswith(NODE7)


def test_a_second_start_is_a_sentence(found: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a server, two starts with different storages wrote the same runs."""
    monkeypatch.setattr(one_driver, "sqlite_file", lambda uri: None)
    start = Start("toy", TRAIN, Options(tracking_uri=found.client.tracking_uri), Console(), tmp_path / "study.py")
    with only_writer(start, "0123"):
        assert found.tag == f"{this_process()} 1"
    found.write(NEIGHBOUR)
    with (
        pytest.raises(BadInput, match=r"^another start of this study, on .*, writes the same runs to --tracking-uri "),
        only_writer(start, "0123"),
    ):
        pass
