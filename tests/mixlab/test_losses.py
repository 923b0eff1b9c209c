"""Nodes that are killed, a head that is killed, a node that joins late: the numbers are those of an undisturbed study.

A real training, and beside it a search, in a network of its own.
"""

import contextlib
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import optuna
import psutil
import pytest
from mlflow.tracking import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.mixlab.held_study import EPOCHS, SEEDS, STUDY, Place, draw_images
from tests.servers import ray_cluster
from tests.servers.isolation import run_alone

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


@pytest.mark.slow
def test_what_is_lost_moves_no_number(tmp_path: Path) -> None:
    run_alone(__file__, tmp_path, timeout=600)


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
        place.wait_for_word_of_the_head(cluster.address)
    print(f"{time.monotonic() - before:.1f} s from the head's death to the last driver's word")
    for place, driver in drivers:
        assert driver.wait(30) == 1
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
    study.require_same_as(undisturbed)


if __name__ == "__main__":
    try:
        lose_all_in_turn(Path(sys.argv[1]))
    finally:  # of a test that fails
        for child in psutil.Process().children(recursive=True):
            child.kill()
