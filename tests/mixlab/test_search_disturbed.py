"""A search that is shared by two drivers, crashed and interrupted: it goes on, and repeats nothing."""

from collections import Counter

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from tests.study_folder import toy_folder
from tests.toy import begun, hold, notes, release

pytestmark = pytest.mark.slow


def test_two_drivers_share_the_work_and_the_confirmation(tmp_path, empty_store):
    toy = toy_folder(tmp_path, "slow search", empty_store=empty_store)
    options = ("--scheduler", "none", "--sampler", "random", "--concurrent", "1", "--epochs", "3")
    hold(tmp_path, epoch=1)
    drivers = [toy.start(*options, log=f"{name}.txt") for name in ("one", "two")]
    for driver in drivers:
        driver.until_said("started")
    hold(tmp_path, epoch=1, seeds=(0, 1))  # those of the confirmation
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


def test_a_crashed_worker_an_interrupt_and_several_seeds(tmp_path, empty_store):
    toy = toy_folder(tmp_path, "search over two seeds", empty_store=empty_store)
    url = f"sqlite:///{tmp_path}/trials.db"
    options = ("--trials", "4", "--seeds", "1", "--epochs", "3", "--scheduler", "none", "--optuna-storage", url)
    hold(tmp_path, epoch=2)
    driver = toy.start(*options)

    def training() -> list[psutil.Process]:
        """Return the processes of two trials that run, once none is left of a trial that has failed."""
        workers = driver.children("ray::ImplicitFu")
        running = driver.said.count("started") - driver.said.count("failed:")
        return workers if notes(tmp_path, "epochs") and running == len(workers) == 2 else []

    driver.until(training)[0].kill()
    driver.until_said("crashed")
    driver.interrupt()
    assert "To go on: python" in driver.finish(code=130)
    release(tmp_path)

    toy.run_here(*options)
    for name in (each for each in optuna.get_all_study_names(url) if "/" in each):
        for trial in optuna.load_study(study_name=name, storage=url).trials:
            if trial.state == TrialState.FAIL:
                continue
            assert sorted(trial.intermediate_values) == list(range(1, 7))
            # The two seeds differ by 0.01, and are the mean in the end.
            assert trial.intermediate_values[6] == pytest.approx(trial.intermediate_values[3] + 0.005)
