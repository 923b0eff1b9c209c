"""Trials that crash are retried from their checkpoint and finally recorded as failed, while the rest goes on."""

import re
from pathlib import Path

import psutil
import pytest
from mlflow.entities import Run

from mixlab.cluster.source import WAIT, Job, Wait
from mixlab.launching.phase import ListedTrials
from mixlab.spec.state import State
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import notes

pytestmark = pytest.mark.slow


def seed_runs(place: StudyFolder) -> dict[tuple[str, str], Run]:
    return {(run.data.tags["mixlab.arm"], run.data.tags["mixlab.seed"]): run for run in place.runs("seed")}


def attempts(folder: Path, fault: int) -> list[int]:
    """Return the epoch after which each attempt of a trial began, of an arm whose process does not die."""
    began = [each for each in notes(folder, "began") if not each["config"]["dies"]]
    return [each["done"] for each in began if each["config"]["fault"] == fault]


def test_a_faulty_arm_is_retried_recorded_and_trained_again_once_fixed(tmp_path: Path, empty_store: Path) -> None:
    toy = toy_folder(tmp_path, "faulty", empty_store=empty_store)
    said = toy.run("--seeds", "1", code=1)
    assert "failed: faulty · seed 0: RuntimeError: broken in epoch 3" in said.replace("\n", " ")
    ended = (
        r"dying · seed \d: crashed \(its process ended by SIGABRT at (.*), line \d+, in fail; its log is (.*\.err)\),"
    )
    (found,) = re.findall(ended, said)
    assert found[0].endswith("toy.py")
    assert "Fatal Python error: Aborted" in Path(found[1]).read_text()
    assert "raylet" not in said
    assert "Traceback" not in said

    runs = seed_runs(toy)
    assert {cell: run.info.status for cell, run in runs.items()} == {
        ("sound", "0"): "FINISHED",
        ("faulty", "0"): "FAILED",
        ("dying", "0"): "FINISHED",
    }
    # Once more, from the second epoch's checkpoint: the same error at the same epoch is final.
    assert attempts(tmp_path, fault=3) == [0, 2]
    failed = runs["faulty", "0"]
    assert failed.data.tags["mixlab.error"] == "RuntimeError: broken in epoch 3"
    client = toy.client
    traceback = Path(client.download_artifacts(failed.info.run_id, "traceback.txt")).read_text()
    assert 'toy.py", line' in traceback
    assert "\x1b" not in traceback
    assert [m.step for m in client.get_metric_history(failed.info.run_id, "train_loss")] == [1, 2]
    # The processor that a trial gets by default.
    assert {each["threads"] for each in notes(tmp_path, "began") if each["config"]["fault"]} == {1}

    assert "3 trials: 2 done, 1 failed" in toy.run_here("--seeds", "1", "--dry-run")

    (tmp_path / "fixed").touch()
    said = toy.run_here("--seeds", "2")  # and a seed more, which trains only it
    started = {line.partition("] ")[2].split(":")[0] for line in said.splitlines() if "started" in line}
    assert started == {"faulty · seed 0", "sound · seed 1", "faulty · seed 1", "dying · seed 1"}
    again = seed_runs(toy)
    assert len(again) == 6
    assert {run.info.status for run in again.values()} == {"FINISHED"}
    assert {again[cell].info.run_id for cell in runs} == {run.info.run_id for run in runs.values()}
    assert again["sound", "0"].data.metrics == runs["sound", "0"].data.metrics
    assert again["sound", "0"].info.end_time == runs["sound", "0"].info.end_time
    assert sorted(attempts(tmp_path, fault=3)) == [0, 0, 2, 2]
    assert attempts(tmp_path, fault=0) == [0, 0]
    assert again["faulty", "0"].data.tags["mixlab.error"] == ""


def test_a_fault_that_breaks_its_process_costs_one_attempt(tmp_path: Path, empty_store: Path) -> None:
    """After an error such as CUDA's, whatever the same process trains fails: it must not get another trial."""
    toy = toy_folder(tmp_path, "poisoned search", empty_store=empty_store)
    said = toy.run_here()
    assert said.count("crashed") == 1
    assert "crashed (RuntimeError: CUDA error: an illegal memory access was encountered), attempt 2" in said
    errors = {run.data.tags.get("mixlab.error", "") for run in toy.runs()}
    assert not [error for error in errors if "CUDA" in error]  # a search's trial may diverge, by its zeta
    assert "RUNNING" not in toy.statuses()
    began = notes(tmp_path, "began")
    assert len(began) == 8 + 4 + 1  # proposed trials, and listed ones for the winners
    assert sum(each["done"] > 0 for each in began) == 1  # the trial went on from its first epoch


def test_a_process_that_is_lost_between_two_trials_costs_neither(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray Tune sends the next trial to the process of the last one, and tells twice that it is gone."""
    toy = toy_folder(tmp_path, "large", empty_store=empty_store)
    usual, lost = ListedTrials.next, []

    def next_after_a_loss(trials: ListedTrials, room: int) -> Job | Wait | None:
        if State.RUNNING in trials.states.values():
            return WAIT
        idle = [each for each in psutil.Process().children(recursive=True) if each.name().startswith("ray::Implicit")]
        for process in [] if lost else idle:
            lost.append(process)
            process.kill()
            process.wait()
        return usual(trials, room)

    monkeypatch.setattr(ListedTrials, "next", next_after_a_loss)
    said = toy.run_here("--seeds", "2")
    assert len(lost) == 1
    assert said.count("crashed") == 1
    assert {run.info.status for run in toy.runs("seed")} == {"FINISHED"}
    assert [each["done"] for each in notes(tmp_path, "began")] == [0, 0]
