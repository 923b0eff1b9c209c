"""Trials that crash are retried from their checkpoint and finally recorded as failed, while the rest goes on.

A process that is broken, or lost between two trials, costs no other trial anything.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from mlflow.entities import Run

from mixlab.cluster.source import Job
from mixlab.launching.phase import ListedTrials
from mixlab.spec.trial import State
from mixlab.tracking import artifacts
from tests.servers.program import children
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import begun, hold, notes

pytestmark = pytest.mark.slow


def seed_runs(place: StudyFolder) -> dict[tuple[str, str], Run]:
    return {(run.data.tags["mixlab.arm"], run.data.tags["mixlab.seed"]): run for run in place.runs("seed")}


def attempts(folder: Path, *, fault: int = 0, poison: int = 0) -> list[int]:
    """Return the epoch after which each attempt of a trial began, of an arm whose process does not die."""
    kind = {"fault": fault, "poison": poison, "dies": 0}
    return [each["done"] for each in begun(folder) if kind.items() <= each.items()]


def test_a_study_whose_raylet_is_killed_says_so_and_has_true_states(tmp_path, empty_store):
    toy = toy_folder(tmp_path, "large", empty_store=empty_store)
    hold(tmp_path, epoch=2)
    with toy.start() as driver:
        driver.until(toy.journals)
        raylet, *_ = driver.children("raylet")  # one that it is about to turn into a worker bears its name for a moment
        raylet.kill()
        said = driver.finish(code=1)
    assert said.splitlines()[-1].startswith("Ray's process on this machine has died"), said
    assert toy.statuses() == {"KILLED"}


def lose_an_idle_process(monkeypatch: pytest.MonkeyPatch) -> list[psutil.Process]:
    """Let trials run one by one, and kill the process of the first before the second begins; return what is killed.

    Ray Tune sends the next trial to the process of the last one, and tells twice that it is gone.
    """
    usual: Callable[[ListedTrials, int], Job | None] = ListedTrials.next
    lost: list[psutil.Process] = []

    def next_after_a_loss(trials: ListedTrials, room: int) -> Job | None:
        if State.RUNNING in trials.states.values():
            return None
        for process in [] if lost else children(os.getpid(), "ray::Implicit"):
            lost.append(process)
            process.kill()
            process.wait()
        return usual(trials, room)

    monkeypatch.setattr(ListedTrials, "next", next_after_a_loss)
    return lost


def test_what_fails_is_retried_recorded_and_trained_again_once_fixed(tmp_path, empty_store, monkeypatch):
    toy = toy_folder(tmp_path, "faulty", empty_store=empty_store)
    said = toy.run("--seeds", "1", code=1)
    assert "failed: faulty · seed 0: RuntimeError: broken in epoch 3" in said.replace("\n", " ")
    by_abort = r"its process ended by SIGABRT at (.*), line \d+, in fail; its log is (.*\.err)"
    ((at, log),) = re.findall(rf"dying · seed \d: crashed \({by_abort}\),", said)
    assert at.endswith("toy.py")
    assert "Fatal Python error: Aborted" in Path(log).read_text()
    # After an error such as CUDA's, whatever the same process trains fails: it must not get another trial.
    assert said.count("crashed (RuntimeError: CUDA error: an illegal memory access was encountered), attempt 2") == 1
    assert said.count("crashed") == 3
    assert "raylet" not in said
    assert "Traceback" not in said

    runs = seed_runs(toy)
    ended = {arm: run.info.status for (arm, _), run in runs.items()}
    assert ended == {"poisoned": "FINISHED", "sound": "FINISHED", "faulty": "FAILED", "dying": "FINISHED"}
    # Once more, from the second epoch's checkpoint: the same error at the same epoch is final.
    assert attempts(tmp_path, fault=3) == [0, 2]
    assert attempts(tmp_path, poison=2) == [0, 1]
    failed = runs["faulty", "0"]
    assert failed.data.tags["mixlab.error"] == "RuntimeError: broken in epoch 3"
    client = toy.client
    traceback = (artifacts.read(client, failed.info.run_id, "traceback.txt") or b"").decode()
    assert 'toy.py", line' in traceback
    assert "\x1b" not in traceback
    assert [m.step for m in client.get_metric_history(failed.info.run_id, "train_loss")] == [1, 2]
    # The processor that a trial gets by default: what torch, or any other program, takes for its threads.
    assert {each["threads"] for each in notes(tmp_path, "began")} == {"1"}

    (tmp_path / "fixed").touch()
    lost = lose_an_idle_process(monkeypatch)
    said = toy.run_here("--seeds", "2")  # one seed more: nothing else is trained
    assert len(lost) == said.count("crashed") == 1
    started = {line.partition("] ")[2].split(":")[0] for line in said.splitlines() if "started" in line}
    assert started == {"faulty · seed 0", *(f"{arm} · seed 1" for arm in ended)}
    again = seed_runs(toy)
    assert len(again) == 8
    assert {run.info.status for run in again.values()} == {"FINISHED"}
    assert {again[cell].info.run_id for cell in runs} == {run.info.run_id for run in runs.values()}
    assert again["sound", "0"].data.metrics == runs["sound", "0"].data.metrics
    assert again["sound", "0"].info.end_time == runs["sound", "0"].info.end_time
    assert sorted(attempts(tmp_path, fault=3)) == [0, 0, 2, 2]
    assert attempts(tmp_path, poison=2) == [0, 1, 0]
    assert attempts(tmp_path) == [0, 0]
    assert again["faulty", "0"].data.tags["mixlab.error"] == ""
