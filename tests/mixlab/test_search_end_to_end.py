"""A search through Ray, Optuna, MLflow and the table: whole, extended, killed, shared, and told nonsense."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
import psutil
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

pytestmark = pytest.mark.slow

# The best zeta is 0.2 in one arm and 0.8 in the other, the best alpha 0.5. A file says what each run began with.
SEARCH = '''
"""A toy search."""
import json, math, os, time
from pathlib import Path
from mixlab import Arm, Float, Search, main

FOLDER = Path(__file__).parent

class Diverged(Exception):
    pass

class Toy:
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def __call__(self, config, seed, report, resume_from):
        done = int((resume_from / "epoch").read_text()) if resume_from else 0
        began = {"done": done, "seed": seed, **{key: config[key] for key in ("evaluate", "peak", "zeta", "alpha")}}
        with (FOLDER / "began").open("a") as file:
            file.write(json.dumps(began) + "\\\\n")
        metrics = {}
        for epoch in range(done + 1, 10):
            time.sleep(config["pause"])
            if config["zeta"] > 1.7:
                raise Diverged("the training loss became nan")
            off = math.log(config["zeta"] / config["peak"]) ** 2 + math.log(config["alpha"] / 0.5) ** 2
            score = 80 - 3 * off - 20 / epoch + (seed - 1000) / 100
            metrics = {"epoch": epoch, "epochs": 9, "data": "toy", "train_loss": 1 / epoch}
            if config["evaluate"] == "validation":
                metrics["val_top1"] = score
            else:
                metrics["test_top1"] = score
            if "test_top1" in metrics and epoch == 9:
                metrics |= {f"test_top1_{rule}": score for rule in ("median10", "last", "best")}
            report(metrics, lambda folder: (folder / "epoch").write_text(str(epoch)))
        return metrics

    def resolve(self, config):
        return {"epochs": 9, "evaluate": "test", "validation": 0.0, "pause": 0.0, **config}

    def prepare(self, config, data_root):
        pass

    def estimate_seconds(self, config):
        return 1.0

study = Search(
    name="toy",
    base={"pause": float(os.environ.get("PAUSE", 0))},
    arms=(Arm("low", {"peak": 0.2}), Arm("high", {"peak": 0.8})),
    space={"zeta": Float(0.05, 2, log=True), "alpha": Float(0.1, 4, log=True)},
    objective=os.environ.get("OBJECTIVE", "val_top1"),
    search_seeds=(1000, 1001) if os.environ.get("TWO_SEEDS") else (1000,),
    budget=16,
    seeds=range(2),
)

if __name__ == "__main__":
    main(study, Toy())
'''


@dataclass(frozen=True)
class Place:
    """A folder with the script, its store and its storage."""

    folder: Path

    def start(self, *options: str, log: str = "out.txt", **environment: str) -> subprocess.Popen[bytes]:
        (self.folder / "toy_search.py").write_text(SEARCH.replace("\\\\n", "\\n"))
        out = (self.folder / log).open("ab")
        command = [sys.executable, "toy_search.py", *options]
        return subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=out, env={**os.environ, **environment})

    def run(self, *options: str, code: int = 0, **environment: str) -> str:
        before = len(self.said())
        driver = self.start(*options, **environment)
        assert driver.wait(300) == code, self.said()[-3000:]
        return self.said()[before:]

    def said(self, log: str = "out.txt") -> str:
        return (self.folder / log).read_text() if (self.folder / log).exists() else ""

    def began(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.folder / "began").read_text().splitlines()]

    def trials(self) -> dict[str, list[FrozenTrial]]:
        """By arm, as anybody reads them with Optuna."""
        storage = JournalStorage(JournalFileBackend(str(self.folder / "results" / "toy" / "optuna.journal")))
        studies = optuna.get_all_study_names(storage)
        return {n.split("/")[1]: optuna.load_study(study_name=n, storage=storage).trials for n in studies if "/" in n}

    def runs(self) -> list[Run]:
        client = MlflowClient(f"sqlite:///{self.folder}/mlflow.db")
        return list(client.search_runs([client.get_experiment_by_name("toy").experiment_id], max_results=5000))

    def level(self, level: str) -> list[Run]:
        return [run for run in self.runs() if run.data.tags["mixlab.level"] == level]

    def wait_until(self, said: str, driver: subprocess.Popen[bytes], times: int = 1) -> None:
        self._wait(lambda: self.said().count(said) >= times, driver, f"nobody said {said!r}")

    def wait_for_a_trial_in_its_midst(self, driver: subprocess.Popen[bytes]) -> None:
        """Return when a trial has reported an epoch or two, and will report more."""

        def is_there() -> bool:
            running = [t for found in self.trials().values() for t in found if t.state == TrialState.RUNNING]
            return any(len(trial.intermediate_values) in (1, 2) for trial in running)

        self._wait(is_there, driver, "no trial was in its midst")

    def _wait(self, happens: Callable[[], bool], driver: subprocess.Popen[bytes], otherwise: str) -> None:
        deadline = time.monotonic() + 180
        while not happens():
            assert driver.poll() is None, self.said()[-3000:]
            assert time.monotonic() < deadline, f"{otherwise} within three minutes"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("whole"))
    place.run("--trials", "60")
    return place


def test_it_finds_the_known_optimum_of_every_arm(whole: Place) -> None:
    for arm, peak in (("low", 0.2), ("high", 0.8)):
        trials = whole.trials()[arm]
        assert len(trials) == 30
        best = max((t for t in trials if t.state == TrialState.COMPLETE), key=lambda t: t.value or 0)
        off = 3 * (math.log(best.params["zeta"] / peak) ** 2 + math.log(best.params["alpha"] / 0.5) ** 2)
        assert off < 2.0  # of the 30 and more that the space spans


def test_optuna_has_every_trial_as_what_it_was(whole: Place) -> None:
    states = Counter(trial.state.name for trials in whole.trials().values() for trial in trials)
    assert set(states) == {"COMPLETE", "PRUNED", "FAIL"}
    for trials in whole.trials().values():
        for trial in trials:
            steps = sorted(trial.intermediate_values)
            assert steps == list(range(1, len(steps) + 1))
            assert (trial.state == TrialState.COMPLETE) == (len(steps) == 9)
            assert (trial.state == TrialState.FAIL) == (trial.params["zeta"] > 1.7)
            if trial.state == TrialState.FAIL:
                assert trial.user_attrs["mixlab.error"].endswith("Diverged: the training loss became nan\n")
            else:
                assert trial.value == trial.intermediate_values[steps[-1]]


def test_a_failure_is_not_retried_and_test_data_are_not_read_before_the_winners_are_known(whole: Place) -> None:
    began = whole.began()
    assert Counter(run["evaluate"] for run in began) == {"validation": 60, "test": 4}
    assert [run["evaluate"] for run in began[-4:]] == ["test"] * 4
    assert {run["seed"] for run in began if run["evaluate"] == "validation"} == {1000}
    assert {run["seed"] for run in began if run["evaluate"] == "test"} == {0, 1}


def test_mlflow_shows_search_arm_trial_with_states_curves_and_the_best(whole: Place) -> None:
    runs = {run.info.run_id: run for run in whole.runs()}
    client = MlflowClient(f"sqlite:///{whole.folder}/mlflow.db")
    levels = Counter(run.data.tags["mixlab.level"] for run in runs.values())
    assert levels == {"search": 1, "study": 1, "arm": 4, "trial": 60, "seed": 4}
    optuna_trials = whole.trials()
    for run in whole.level("trial"):
        tags = run.data.tags
        arm = runs[tags["mlflow.parentRunId"]]
        assert arm.data.tags["mixlab.level"] == "arm"
        assert runs[arm.data.tags["mlflow.parentRunId"]].data.tags["mixlab.level"] == "search"
        trial = optuna_trials[tags["mixlab.arm"]][int(tags["mixlab.trial"])]
        words = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        assert tags["mixlab.state"] == words[trial.state.name]
        assert run.info.status == ("FAILED" if trial.state == TrialState.FAIL else "FINISHED")
        assert float(run.data.params["zeta"]) == trial.params["zeta"]
        curve = client.get_metric_history(run.info.run_id, "val_top1")
        assert {point.step: point.value for point in curve} == pytest.approx(trial.intermediate_values)
        assert not any(name.startswith("test") for name in run.data.metrics)
    best = {
        run.data.tags["mixlab.arm"]: run for run in whole.level("trial") if run.data.tags.get("mixlab.best") == "true"
    }
    for arm, trials in optuna_trials.items():
        top = max((t for t in trials if t.state == TrialState.COMPLETE), key=lambda t: t.value or 0)
        assert best[arm].data.tags["mixlab.trial"] == str(top.number)
    assert len([run for run in runs.values() if run.data.tags.get("mixlab.best") == "true"]) == 2


def test_only_the_confirmation_enters_the_table(whole: Place) -> None:
    table = (whole.folder / "results" / "toy" / "paper" / "table.csv").read_text().splitlines()
    header, *rows = [line.split(",") for line in table]
    assert [row[header.index("arm")] for row in rows] == ["low", "high"]
    assert [row[header.index("n")] for row in rows] == ["2", "2"]
    for row in rows:
        runs = [run for run in whole.level("seed") if run.data.tags["mixlab.arm"] == row[0]]
        mean = sum(run.data.metrics["test_top1_median10"] for run in runs) / 2
        assert float(row[header.index("mean")]) == pytest.approx(mean)


def test_more_trials_are_just_the_difference_and_the_same_command_runs_none(whole: Place) -> None:
    before = whole.began()
    assert "started" not in whole.run("--trials", "60")
    assert whole.began() == before
    out = whole.run("--trials", "64")
    assert len([line for line in out.splitlines() if "· trial" in line and line.endswith("started")]) == 4
    new = [run for run in whole.began()[len(before) :] if run["evaluate"] == "validation"]
    assert len(new) == 4
    assert {arm: len(trials) for arm, trials in whole.trials().items()} == {"low": 32, "high": 32}


def test_a_killed_driver_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for times in (3, 7):
        driver = place.start("--scheduler", "none", PAUSE="0.25")
        place.wait_until("complete", driver, times)
        place.wait_for_a_trial_in_its_midst(driver)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    before = place.trials()
    assert any(trial.state == TrialState.RUNNING for found in before.values() for trial in found)
    plan = place.run("--dry-run", PAUSE="0.25")
    assert "running" in plan
    out = place.run("--scheduler", "none", PAUSE="0.25")
    assert "goes on after epoch" in out

    trials = place.trials()
    assert {arm: len(found) for arm, found in trials.items()} == {"low": 8, "high": 8}
    assert all(t.state.is_finished() for found in trials.values() for t in found)
    for arm, found in before.items():
        for old, new in zip(found, trials[arm], strict=False):  # one that was just asked for may have no values yet
            assert new.params.items() >= old.params.items()
            assert new.intermediate_values.items() >= old.intermediate_values.items()
            assert new == old or not old.state.is_finished()
    searched = [run for run in place.began() if run["evaluate"] == "validation"]
    fresh = Counter((run["peak"], run["zeta"]) for run in searched if run["done"] == 0)
    assert len(fresh) == 16
    # A trial may begin again only where the driver died before its first checkpoint.
    assert sum(fresh.values()) - 16 <= 4
    assert len(place.level("trial")) == 16
    assert {run.info.status for run in place.runs()} <= {"FINISHED", "FAILED"}


def test_two_drivers_share_the_work_and_the_confirmation(tmp_path: Path) -> None:
    place = Place(tmp_path)
    options = ("--scheduler", "none", "--sampler", "random", "--concurrent", "1")
    drivers = [place.start(*options, log=f"{name}.txt", PAUSE="0.4") for name in ("one", "two")]
    assert [driver.wait(400) for driver in drivers] == [0, 0], place.said("one.txt") + place.said("two.txt")
    began = place.began()
    points = [(run["peak"], run["zeta"]) for run in began if run["evaluate"] == "validation"]
    assert len(points) == len(set(points)) == 16
    assert len([run for run in began if run["evaluate"] == "test"]) == 4
    for log in ("one.txt", "two.txt"):
        assert sum("trial" in line and "started" in line for line in place.said(log).splitlines()) >= 3
        assert "Top-1 accuracy on the test set" in place.said(log)
    assert Counter(run.data.tags["mixlab.level"] for run in place.runs()) == {
        "search": 1,
        "study": 1,
        "arm": 4,
        "trial": 16,
        "seed": 4,
    }


def test_a_crashed_worker_an_interrupt_and_several_seeds(tmp_path: Path) -> None:
    place = Place(tmp_path)
    options = ("--trials", "4", "--scheduler", "none", "--optuna-storage", f"sqlite:///{tmp_path}/trials.db")
    driver = place.start(*options, PAUSE="0.3", TWO_SEEDS="1")
    place.wait_until("started", driver, 2)
    time.sleep(2)
    children = psutil.Process(driver.pid).children(recursive=True)
    workers = [child for child in children if child.name().startswith("ray::ImplicitFu")]
    os.kill(workers[0].pid, signal.SIGKILL)
    place.wait_until("crashed", driver)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(60) == 130
    assert "To go on: python" in place.said()

    place.run(*options, PAUSE="0.3", TWO_SEEDS="1")
    url = f"sqlite:///{tmp_path}/trials.db"
    for name in (each for each in optuna.get_all_study_names(url) if "/" in each):
        for trial in optuna.load_study(study_name=name, storage=url).trials:
            if trial.state == TrialState.FAIL:
                continue
            assert sorted(trial.intermediate_values) == list(range(1, 19))
            # The two seeds differ by 0.01, and are the mean in the end.
            assert trial.intermediate_values[18] == pytest.approx(trial.intermediate_values[9] + 0.005)


def test_an_objective_that_is_never_reported_is_exit_2_and_one_sentence(tmp_path: Path) -> None:
    out = Place(tmp_path).run(code=2, OBJECTIVE="val_topp1")
    errors = [line for line in out.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "'val_topp1'" in errors[0]
    assert "it reports train_loss, val_top1" in errors[0]
    assert "Traceback" not in out
