"""Nodes that are killed, a head that is killed, a node that joins late: the numbers are those of an undisturbed study.

A real training, and beside it a search, in a network of its own.
"""

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psutil
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from PIL import Image

from tests import ray_cluster
from tests.isolation import run_alone

SAY_SECONDS = 30.0  # the most that a driver may take to notice that its cluster is lost
EPOCHS = 16
SEEDS = 3
# The real trainable, which also notes every epoch that it trains, and waits in one while there is a file "hold".
STUDY = """
import os, time
from pathlib import Path
from mixlab import Arm, Study, main
from trainables.classify import Classification

FOLDER, HOLD = Path.cwd(), int(os.environ["HOLD"])

class Noted(Classification):
    def __call__(self, config, seed, report, resume_from):
        def note(metrics, save):
            with (FOLDER / f"seed-{seed}").open("a") as file:
                print(metrics["epoch"], file=file)
            while metrics["epoch"] == HOLD and (FOLDER / "hold").exists():
                time.sleep(0.1)
            report(metrics, save)
        return super().__call__(config, seed, note, resume_from)

base = {"dataset": "folder", "folder": "noise", "num_classes": 4, "mixer": "cutmix"}
small = {"image_size": 32, "train_images": 200, "test_images": 40, "epochs": EPOCHS, "seeds": SEEDS}
study = Study(name="study", base=base, arms=(Arm("plain", {}),), seeds=range(SEEDS), presets={"smoke": small})

if __name__ == "__main__":
    main(study, Noted())
""".replace("EPOCHS", str(EPOCHS)).replace("SEEDS", str(SEEDS))
SEARCH = """
import os, time
from pathlib import Path
from mixlab import Arm, Float, Search, main

FOLDER, HOLD = Path.cwd(), int(os.environ["HOLD"])

class Toy:
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def __call__(self, config, seed, report, resume_from):
        done = int((resume_from / "epoch").read_text()) if resume_from else 0
        for epoch in range(done + 1, 7):
            while epoch == HOLD and (FOLDER / "hold").exists():
                time.sleep(0.1)
            metrics = {"epoch": epoch, "epochs": 6, "data": "toy", "train_loss": 1 / epoch, "val_top1": config["zeta"]}
            last = {"test_top1_median10": 1.0} if epoch == 6 else {}
            metrics |= {"test_top1": 1.0, **last}
            report(metrics, lambda folder: (folder / "epoch").write_text(str(epoch)))
        return metrics

    def resolve(self, config):
        return {"epochs": 6, "evaluate": "test", "validation": 0.0, **config}

    def prepare(self, config, data_root):
        pass

    def estimate_seconds(self, config):
        return 3.0

space = {"zeta": Float(0.1, 1.0)}
arms = (Arm("plain", {}),)
study = Search(name="search", base={}, arms=arms, space=space, budget=6, concurrent=1, scheduler="none", seeds=range(1))

if __name__ == "__main__":
    main(study, Toy())
"""


@dataclass(frozen=True, eq=False)
class Place:
    """A folder with its own store and storage, and a script in the folder above."""

    folder: Path
    script: str
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def start(self, *options: str, hold: int = 0) -> subprocess.Popen[bytes]:
        self.folder.mkdir(exist_ok=True)
        if hold:
            (self.folder / "hold").touch()
        data = ("--data-root", str(self.folder.parent), "--preset", "smoke")
        command = [sys.executable, str(self.folder.parent / self.script), *data, *options]
        environment = {**self.environment, "HOLD": str(hold)}
        with (self.folder / "out.txt").open("ab") as out:
            return subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=out, env=environment)

    @property
    def said(self) -> str:
        return (self.folder / "out.txt").read_text()

    @property
    def journals(self) -> list[Path]:
        return list((self.folder / "results").glob("*/trials/*/*/checkpoint_*/journal.json"))

    def wait(self, driver: subprocess.Popen[bytes], happens: Callable[[], object], seconds: float = 200) -> None:
        end = time.monotonic() + seconds
        while not happens():
            assert driver.poll() is None, self.said[-4000:]
            assert time.monotonic() < end, self.said[-4000:]
            time.sleep(0.05)

    def runs(self, study: str) -> list[Run]:
        client = MlflowClient(f"sqlite:///{self.folder}/mlflow.db")
        return list(client.search_runs([client.get_experiment_by_name(study).experiment_id]))

    def noted(self) -> dict[str, list[int]]:
        """The epochs that each seed was trained, by its own account."""
        return {file.name: [int(line) for line in file.read_text().split()] for file in self.folder.glob("seed-*")}

    def results(self) -> dict[str, dict[str, Any]]:
        """Of each seed: every metric's history but the times, and the bytes of the model."""
        client = MlflowClient(f"sqlite:///{self.folder}/mlflow.db")
        found: dict[str, dict[str, Any]] = {}
        for run in self.runs("study"):
            assert run.info.status == "FINISHED"
            if run.data.tags["mixlab.level"] == "seed":
                seed = run.data.tags["mixlab.seed"]
                assert seed not in found, f"seed {seed} is there twice"
                names = sorted(set(run.data.metrics) - {"train_seconds", "peak_memory_mib"})
                history = {n: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, n)] for n in names}
                model = Path(client.download_artifacts(run.info.run_id, "model.pt")).read_bytes()
                found[seed] = {"model": hashlib.sha256(model).hexdigest(), **history}
        return found

    def table(self) -> str:
        return (self.folder / "results" / "study" / "smoke" / "table.csv").read_text()


@pytest.mark.slow
def test_what_is_lost_moves_no_number(tmp_path: Path) -> None:
    run_alone(__file__, tmp_path, timeout=600)


def draw_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 400), ("test", 40)):
        for number in range(count):
            path = folder / split / str(number % 4) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)


def trains_on(node: subprocess.Popen[bytes]) -> bool:
    """Whether a trial runs on a node."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(child.name().startswith("ray::Implicit") for child in psutil.Process(node.pid).children(True))
    return False


def lose_the_head(study: Place, search: Place, cluster: ray_cluster.RayCluster) -> None:
    """Both drivers say so in time, and end; MLflow knows that nothing runs any more."""
    where = ("--address", cluster.address)
    drivers = [(study, study.start(*where, hold=3)), (search, search.start(*where, hold=3))]
    study.wait(drivers[0][1], lambda: [max(epochs, default=0) for epochs in study.noted().values()] == [3] * SEEDS)
    search.wait(drivers[1][1], lambda: search.journals)
    before = time.monotonic()
    ray_cluster.kill(cluster.head)
    for place, _ in drivers:
        while f"the head of the Ray cluster at --address '{cluster.address}' has died" not in place.said:
            assert time.monotonic() - before < SAY_SECONDS
            time.sleep(0.1)
        assert "the same command goes on" in place.said
    print(f"{time.monotonic() - before:.1f} s from the head's death to the last driver's word")
    for place, driver in drivers:
        assert driver.wait(SAY_SECONDS) == 1
        assert "Traceback" not in place.said
    for place, name in ((study, "study"), (search, "search")):
        ends = Counter(run.info.status for run in place.runs(name))
        assert ends["KILLED"] >= 3, ends  # the study, the arm, and at least one trial
        assert not ends["RUNNING"], ends


def lose_a_node(study: Place, cluster: ray_cluster.RayCluster) -> None:
    """The study goes on; a node that joins takes a trial that waits; the other dies, and its trial moves."""
    first = cluster.add_worker()
    cluster.wait_for(2)
    driver = study.start("--address", cluster.address, hold=6)
    study.wait(driver, lambda: any(max(epochs, default=0) == 6 for epochs in study.noted().values()))
    assert trains_on(first)
    late = cluster.add_worker()
    study.wait(driver, lambda: trains_on(late))
    assert trains_on(first)
    ray_cluster.kill(first)
    (study.folder / "hold").unlink()
    study.wait(driver, lambda: "crashed, attempt 2 goes on from its last epoch" in study.said)
    assert driver.wait(200) == 0, study.said[-4000:]
    for epochs in study.noted().values():
        assert set(epochs) == set(range(1, EPOCHS + 1))
        # Of what was done before a loss, no more is done again than the epochs that were not reported yet.
        assert all(after - before in (1, 0, -1) for before, after in pairwise(epochs)), epochs


def go_on_with_the_search(search: Place, cluster: ray_cluster.RayCluster) -> None:
    """On another cluster: every trial of the budget once, and the winner confirmed."""
    assert search.start("--address", cluster.address).wait(200) == 0, search.said[-4000:]
    storage = JournalStorage(JournalFileBackend(str(search.folder / "results" / "search" / "optuna.journal")))
    states = Counter(
        trial.state.name
        for name in optuna.get_all_study_names(storage)
        for trial in optuna.load_study(study_name=name, storage=storage).trials
    )
    assert states == {"COMPLETE": 6}
    runs = [run for run in search.runs("search") if run.data.tags["mixlab.level"] == "trial"]
    assert len(runs) == len({run.data.tags["mixlab.key"] for run in runs}) == 6
    client = MlflowClient(f"sqlite:///{search.folder}/mlflow.db")
    for run in runs:
        assert run.info.status == "FINISHED"
        assert [m.step for m in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2, 3, 4, 5, 6]


def lose_all_in_turn(folder: Path) -> None:
    """Everything in a network of its own."""
    draw_images(folder / "noise")
    (folder / "study.py").write_text(STUDY)
    (folder / "search.py").write_text(SEARCH)
    undisturbed = Place(folder / "undisturbed", "study.py")
    assert undisturbed.start().wait(200) == 0, undisturbed.said[-4000:]

    with ray_cluster.running() as cluster:
        study = Place(folder / "disturbed", "study.py", cluster.environment)
        search = Place(folder / "search", "search.py", cluster.environment)
        cluster.add_worker("--num-cpus", str(SEEDS + 1))
        cluster.wait_for(2)
        lose_the_head(study, search, cluster)
    (search.folder / "hold").unlink()
    with ray_cluster.running() as cluster:
        study = Place(folder / "disturbed", "study.py", cluster.environment)
        search = Place(folder / "search", "search.py", cluster.environment)
        lose_a_node(study, cluster)
        go_on_with_the_search(search, cluster)
    results = study.results()
    assert [len(of_seed["train_loss"]) for of_seed in results.values()] == [EPOCHS] * SEEDS
    assert results == undisturbed.results()
    assert study.table() == undisturbed.table()


if __name__ == "__main__":
    try:
        lose_all_in_turn(Path(sys.argv[1]))
    finally:  # of a test that fails
        for child in psutil.Process().children(recursive=True):
            child.kill()
