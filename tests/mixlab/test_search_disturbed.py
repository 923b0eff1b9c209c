"""A search that is killed, shared by two drivers, crashed and interrupted: it goes on, and repeats nothing."""

import signal
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from tests.servers.program import Program
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import begun, hold, notes, release

pytestmark = pytest.mark.slow


def wait_for_a_trial_in_its_midst(toy: StudyFolder, driver: Program) -> None:
    """Return once a trial has reported an epoch or two, and will report more."""

    def is_there() -> bool:
        running = [t for found in toy.trials().values() for t in found if t.state == TrialState.RUNNING]
        return any(len(trial.intermediate_values) in (1, 2) for trial in running)

    driver.until(is_there)


def test_a_killed_driver_goes_on_and_repeats_nothing(tmp_path: Path, empty_store: Path) -> None:
    toy = toy_folder(tmp_path, "slow search", empty_store=empty_store)
    driver = toy.start("--scheduler", "none")
    driver.until(lambda: toy.said().count(": done") >= 5)
    wait_for_a_trial_in_its_midst(toy, driver)
    driver.interrupt(signal.SIGKILL)
    driver.process.wait()
    before = toy.trials()
    assert any(trial.state == TrialState.RUNNING for found in before.values() for trial in found)
    assert "running" in toy.run_here("--dry-run")
    assert "goes on after epoch" in toy.run_here("--scheduler", "none")

    trials = toy.trials()
    assert {arm: len(found) for arm, found in trials.items()} == {"low": 8, "high": 8}
    assert all(t.state.is_finished() for found in trials.values() for t in found)
    for arm, found in before.items():
        for old, new in zip(found, trials[arm], strict=False):  # one that was just asked for may have no values yet
            assert new.params.items() >= old.params.items()
            assert new.intermediate_values.items() >= old.intermediate_values.items()
            assert new == old or not old.state.is_finished()
    searched = [run for run in begun(tmp_path) if run["evaluate"] == "validation"]
    fresh = Counter((run["peak"], run["zeta"]) for run in searched if run["done"] == 0)
    assert len(fresh) == 16
    # A trial may begin again only where the driver died before its first checkpoint.
    assert sum(fresh.values()) - 16 <= 4
    assert len(toy.runs("trial")) == 16
    assert toy.statuses() <= {"FINISHED", "FAILED"}


def test_two_drivers_share_the_work_and_the_confirmation(tmp_path: Path, empty_store: Path) -> None:
    toy = toy_folder(tmp_path, "slow search", empty_store=empty_store)
    options = ("--scheduler", "none", "--sampler", "random", "--concurrent", "1")
    hold(tmp_path, epoch=1, seeds=(0, 1))  # those of the confirmation
    drivers = [toy.start(*options, log=f"{name}.txt") for name in ("one", "two")]
    waits = "Another driver of this search trains the winners; waiting for it to end"
    drivers[0].until(lambda: [driver for driver in drivers if waits in driver.said])
    release(tmp_path)
    for driver in drivers:
        driver.finish()
    assert [waits in driver.said for driver in drivers].count(True) == 1
    found = begun(tmp_path)
    points = [(run["peak"], run["zeta"]) for run in found if run["evaluate"] == "validation"]
    assert len(points) == len(set(points)) == 16
    assert len([run for run in found if run["evaluate"] == "test"]) == 4
    for driver in drivers:
        assert sum("trial" in line and "started" in line for line in driver.said.splitlines()) >= 3
        assert "Top-1 accuracy on the test set" in driver.said
    levels = Counter(run.data.tags["mixlab.level"] for run in toy.runs())
    assert levels == {"search": 1, "study": 1, "arm": 4, "trial": 16, "seed": 4}


def test_a_crashed_worker_an_interrupt_and_several_seeds(tmp_path: Path, empty_store: Path) -> None:
    toy = toy_folder(tmp_path, "search over two seeds", empty_store=empty_store)
    url = f"sqlite:///{tmp_path}/trials.db"
    options = ("--trials", "4", "--scheduler", "none", "--optuna-storage", url)
    driver = toy.start(*options)
    driver.until_said("started", times=2)
    (worker, *_) = driver.until(lambda: notes(tmp_path, "epochs") and driver.children("ray::ImplicitFu"))
    worker.kill()
    driver.until_said("crashed")
    driver.interrupt()
    assert "To go on: python" in driver.finish(code=130)

    toy.run_here(*options)
    for name in (each for each in optuna.get_all_study_names(url) if "/" in each):
        for trial in optuna.load_study(study_name=name, storage=url).trials:
            if trial.state == TrialState.FAIL:
                continue
            assert sorted(trial.intermediate_values) == list(range(1, 19))
            # The two seeds differ by 0.01, and are the mean in the end.
            assert trial.intermediate_values[18] == pytest.approx(trial.intermediate_values[9] + 0.005)
