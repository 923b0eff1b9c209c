"""A trial of two processes, on two GPUs in which only Ray believes: one is lost, and the trial goes on."""

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from mixlab import Arm, Study, main
from tests.noise_images import CONFIG, draw_images
from tests.servers import ray_cluster
from tests.servers.program import run_alone
from tests.study_folder import StudyFolder
from trainables.classify import Classification

pytestmark = pytest.mark.slow

KILLED = Path.cwd() / "killed"  # found in the driver, and carried to every worker with the class
BASE = {**CONFIG, "mixer": "cutmix", "train_images": 40, "test_images": 20, "epochs": 3, "batch_size": 20}


class Deadly(Classification):
    """Kills its second process after the second epoch, the first time."""

    def __call__(self, settings: Any, seed: int, report: Any, **where: Any) -> Any:
        def after(epoch: Any, save: Any) -> None:
            report(epoch, save)
            if epoch.number == 2 and not KILLED.exists():
                KILLED.touch()
                for process in multiprocessing.active_children():
                    process.kill()

        return super().__call__(settings, seed, after, **where)


def test_a_trial_on_two_gpus_goes_on_after_it_has_lost_one(tmp_path, new_store):
    new_store(tmp_path)
    draw_images(tmp_path)
    run_alone(run_the_study, tmp_path)


def run_the_study(folder: Path) -> None:
    """Run in a network of its own."""
    with ray_cluster.running(head=("--num-gpus", "2", "--num-cpus", "2")) as cluster:
        cluster.wait()
        toy = StudyFolder(folder, "study", (__file__,), environment=cluster.environment)
        where = ("--address", cluster.address, "--data-root", str(folder))
        said = toy.run_here(*where, "--gpus-per-trial", "2", "--cpus-per-trial", "2")
    lost = "LostProcess: process 1 of the 2 that train together was ended by SIGKILL"
    assert f"{lost}), attempt 2 goes on after epoch" in said
    (run,) = toy.runs("seed")
    assert run.info.status == "FINISHED"
    losses = toy.client.get_metric_history(run.info.run_id, "train_loss")
    assert [loss.step for loss in losses] == [1, 2, 3]
    assert [value for value in run.data.tags.values() if value.startswith("2 x ")]


if __name__ == "__main__":
    main(Study(name="study", base=BASE, arms=(Arm("plain", {}),), seeds=range(1)), Deadly())
