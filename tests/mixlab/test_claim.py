"""Two drivers share a storage or the runs of a plan: one is at work, and the other says who that is."""

import io
import os
import signal
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import psutil
import pyarrow.fs
import pytest
from mlflow.tracking import MlflowClient
from rich.console import Console

from mixlab import Options, processes
from mixlab.launching import one_driver
from mixlab.launching.one_driver import FileBoard, end_abandoned, only_machine, only_writer
from mixlab.launching.start import Start
from mixlab.processes import Board, OtherDriver, claimed, machine_of, name_of, runs_here, this_process
from mixlab.spec.trial import State
from mixlab.tracking import names
from mixlab.tracking.experiment import TagBoard
from tests.endings import refused
from tests.mixlab.search_toy import TRAIN
from tests.mixlab.tracking.one_trial import TRACKED, TRIAL, opened, run_of
from tests.waiting import wait_for

LOCAL = pyarrow.fs.LocalFileSystem()
NEIGHBOUR = f"{machine_of(this_process())}#{name_of(os.getppid())}"
DEAD_HERE = f"{machine_of(this_process())}#999999999@1"
NODE7 = "node7/1-2 pid:[1]#12@34"


class Shared:
    """A board, and what a driver says who finds it."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.said: list[str] = []
        self.lost = threading.Event()

    def write(self, driver: str, beat: int = 1) -> None:
        self.board.write(f"{driver} since 2026-01-02 03:04:05 beat {beat}")

    def is_mine(self) -> bool:
        return self.board.read().startswith(f"{this_process()} since 20")

    def claimed(self, **options: Any) -> AbstractContextManager[None]:
        return claimed(self.board, self.said.append, lambda sentence: self.lost.set(), **options)


@pytest.fixture(params=["file", "tag"])
def shared(request, tmp_path, monkeypatch) -> Shared:
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.01)
    if request.param == "file":
        return Shared(FileBoard(LOCAL, str(tmp_path / "results" / "driver")))
    client = MlflowClient(request.getfixturevalue("tracking_uri"))
    return Shared(TagBoard(client, client.create_experiment("toy"), "mixlab driver of 0123"))


@pytest.mark.parametrize("other", ["", DEAD_HERE, this_process()], ids=["nobody", "killed", "this process before"])
def test_what_nobody_holds_is_held_at_once_and_given_back(shared, other):
    if other:
        shared.write(other)
    with shared.claimed():
        assert shared.is_mine()
    assert shared.board.read() == ""
    assert not shared.said


def test_a_living_driver_of_this_machine_is_named_at_once(shared):
    shared.write(NEIGHBOUR)
    with pytest.raises(OtherDriver, match=rf"^on .+ \(process {os.getppid()}\)$") as found:
        shared.claimed().__enter__()
    assert found.value.since == "2026-01-02 03:04:05"
    assert shared.board.read().startswith(NEIGHBOUR)
    assert not shared.said


@pytest.mark.parametrize("text", ["5", '{"name": 5}', "#@", " since "])
def test_what_is_no_drivers_text_is_replaced_once_it_was_watched(shared, text, monkeypatch):
    monkeypatch.setattr(processes, "WATCH_SECONDS", 0.02)
    shared.board.write(text)
    with shared.claimed():
        assert shared.is_mine()


@pytest.mark.parametrize("ends", [False, True])
def test_a_driver_of_another_machine_is_watched(shared, monkeypatch, ends):
    monkeypatch.setattr(processes, "WATCH_SECONDS", 10 if ends else 0.05)
    shared.write(NODE7)
    if ends:
        threading.Timer(0.1, shared.board.write, ("",)).start()
    with shared.claimed():
        assert shared.is_mine()
    assert shared.said[0].startswith("A start of this study on node7 (process 12) has not ended as usual, or is still")


def test_a_sign_in_the_last_pause_counts(shared, monkeypatch):
    clock = Mock(monotonic=Mock(side_effect=(0, 0, 1e9)), sleep=lambda _: shared.write(NODE7, 2))
    monkeypatch.setattr(processes, "time", clock)
    shared.write(NODE7)
    with pytest.raises(OtherDriver, match=r"^on node7 \(process 12\)$"):
        shared.claimed().__enter__()


def test_a_driver_of_a_machine_with_the_same_name_is_watched(shared, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "WATCH_SECONDS", 0.02)
    (tmp_path / "boot_id").write_text("1-2-3\n")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(processes, "BOOT", tmp_path / "boot_id")
        shared.write(this_process().partition("#")[0] + "#999999999@1")  # no process of that number runs here
    with shared.claimed():
        assert "(process 999999999) has not ended as usual" in shared.said[0]


def test_of_two_that_start_at_once_the_first_gives_way(shared):
    with pytest.raises(OtherDriver):
        shared.claimed(meanwhile=lambda: shared.write(NEIGHBOUR)).__enter__()
    assert shared.board.read().startswith(NEIGHBOUR)


@pytest.mark.parametrize("second", [DEAD_HERE, NODE7])
def test_of_two_that_start_at_once_the_first_is_at_work_if_the_second_has_died(shared, monkeypatch, second):
    """Its first beat must not take the text of the second for a start that has taken over."""
    monkeypatch.setattr(processes, "WATCH_SECONDS", 0.02)
    with shared.claimed(meanwhile=lambda: shared.write(second)):
        assert shared.is_mine()


@pytest.mark.parametrize("taken_over", ["and is at work", "and is done"])
def test_the_heart_beats_until_another_driver_has_taken_over(shared, monkeypatch, taken_over):
    monkeypatch.setattr("mixlab.processes.BEAT_SECONDS", 0.01)
    with shared.claimed():
        with monkeypatch.context() as outage:  # in which some beats die
            outage.setattr(type(shared.board), "read", asked := Mock(side_effect=OSError("the store is away")))
            wait_for(lambda: asked.call_count > 2)
        wait_for(lambda: int(shared.board.read().rpartition(" ")[2] or 0) > 2)
        assert not shared.lost.is_set()
        while not shared.lost.wait(0.05):  # a beat may be between its look and its write
            if taken_over == "and is at work":
                shared.write(NODE7)
            elif shared.board.read():  # MLflow refuses to remove a tag twice
                shared.board.write("")


def test_drivers_of_one_machine_may_share_a_claim(shared, monkeypatch):
    monkeypatch.setattr("mixlab.processes.BEAT_SECONDS", 0.01)
    shared.write(NEIGHBOUR)
    with shared.claimed(neighbours=True):
        shared.write(NEIGHBOUR, 2)
        wait_for(shared.is_mine)
        shared.board.write("")  # as at the neighbour's end
        wait_for(shared.is_mine)
        while not shared.lost.wait(0.05):
            shared.write(NODE7)


def test_a_living_driver_is_known_after_its_machines_clock_was_set(monkeypatch):
    """The time of a process's start, by the clock of the day, then becomes another."""
    me, started = this_process(), psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: started(process) + 3600)
    assert runs_here(me)


def start_of(folder: Path, uri: str = "sqlite:///mlflow.db") -> Start:
    console = Console(file=io.StringIO(), width=200)
    return Start("toy", TRAIN, Options(tracking_uri=uri, storage=str(folder)), console, folder / "study.py")


def in_a_bucket(start: Start) -> Shared:
    """Let what stands for a bucket be the start's storage; return where a driver of that is named."""
    start.storage.filesystem = pyarrow.fs.SubTreeFileSystem("/", LOCAL)
    return Shared(FileBoard(start.storage.filesystem, f"{start.storage.folder}/driver"))


def test_a_second_writer_is_a_sentence(tmp_path, tracking_uri, monkeypatch):
    """With a server, two starts with different storages would write the same runs."""
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(one_driver, "sqlite_file", lambda uri: None)
    start = start_of(tmp_path, tracking_uri)
    with only_writer(start, "0123"):
        (experiment,) = start.client.search_experiments(filter_string="name = 'toy'")
        assert experiment.tags["mixlab driver of 0123"].startswith(this_process())
    start.client.set_experiment_tag(experiment.experiment_id, "mixlab driver of 0123", f"{NEIGHBOUR} since now beat 1")
    with refused("another start of this study, on ", ", writes the same runs to --tracking-uri "):
        only_writer(start, "0123").__enter__()


@pytest.mark.parametrize("server", [False, True])
def test_the_runs_of_a_start_that_was_killed_are_ended_by_the_next_and_those_of_one_at_work_are_not(
    tmp_path, tracking_uri, client, monkeypatch, server
):
    """A start of the same plan has its lock or its text already."""
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.01)
    if server:
        monkeypatch.setattr(one_driver, "sqlite_file", lambda uri: None)
    start = start_of(tmp_path, tracking_uri)
    end_abandoned(start, "4567")  # the first start of all finds no experiment
    tracker = opened(client)

    def states() -> tuple[set[str], str]:
        every = client.search_runs([tracker.experiment_id])
        return {run.info.status for run in every}, run_of(tracker).data.tags[names.STATE]

    with only_writer(start, TRACKED.identity):
        end_abandoned(start, "4567")
        assert states() == ({"RUNNING"}, "running")
        end_abandoned(start, TRACKED.identity)
        assert states() == ({"KILLED"}, "interrupted")
    opened(client)
    end_abandoned(start, "4567")
    assert states() == ({"KILLED"}, "interrupted")
    if server:
        opened(client)
        client.set_experiment_tag(tracker.experiment_id, names.DRIVER + TRACKED.identity, f"{NODE7} since now beat 1")
        end_abandoned(start, "4567")
        assert states() == ({"RUNNING"}, "running")


def test_what_is_over_or_anothers_stays_as_it_is_when_a_killed_start_is_cleaned_up(tmp_path, client, tracking_uri):
    tracker, other = opened(client), opened(client)
    tracker.trials.end(TRIAL, State.DONE)
    other.close(State.FAILED, {TRIAL.cell: State.INTERRUPTED})
    run_of(other)
    client.update_run(other.study_run, "RUNNING")
    before = run_of(tracker).info.end_time
    end_abandoned(start_of(tmp_path, tracking_uri), "4567")
    assert client.get_run(tracker.study_run).info.status == "KILLED"
    assert (run_of(tracker).info.status, run_of(tracker).info.end_time) == ("FINISHED", before)


def test_a_second_driver_of_a_storage_is_a_sentence(tmp_path):
    start = start_of(tmp_path)
    with only_machine(start, "driver", neighbours=False):
        assert not list(tmp_path.iterdir())  # a folder of this machine is locked instead
    in_a_bucket(start).write(NEIGHBOUR)
    with refused(
        "another start of this study, on ", "has been at work in this storage since 2026-01-02 03:04:05: wait"
    ):
        only_machine(start, "driver", neighbours=False).__enter__()


def test_a_driver_whose_storage_another_has_taken_over_says_so_and_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(one_driver.os, "kill", kill := Mock())
    start = start_of(tmp_path)
    shared = in_a_bucket(start)
    with only_machine(start, "driver", neighbours=False):
        while not kill.called:
            shared.write(NODE7)
            time.sleep(0.02)  # a beat may be between its look and its write
    assert kill.mock_calls == [call(os.getpid(), signal.SIGTERM)]
    assert start.console.file.getvalue().startswith("another start of this study has taken over, because this one had")
    assert shared.board.read().startswith(NODE7)
