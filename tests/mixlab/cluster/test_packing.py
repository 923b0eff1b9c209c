"""How many trials share a GPU; and trials that run out of its memory, on a GPU that Ray only believes in."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.tracking import MlflowClient

from mixlab.cluster.packing import Packing, more, ran_out
from tests.servers import ray_cluster
from tests.servers.isolation import run_alone

# Its need and the GPU's memory are stated, not measured; a trial of "greedy" needs more than it said.
STUDY = """
import ray
import torch
from mixlab import Arm, Study, main

class Toy:
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def __call__(self, config, seed, report, resume_from):
        done = int((resume_from / "training.pt").read_text()) if resume_from else 0
        share = ray.tune.get_context().get_trial_resources().required_resources["GPU"]
        for epoch in range(done + 1, 3):
            if epoch == 2 and config["greedy"] and share < 0.5:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
            last = {"test_top1_median10": 50.0 + seed} if epoch == 2 else {}
            metrics = {"epoch": epoch, "epochs": 2, "data": "toy", "train_loss": 1.0, "test_top1": 10.0, "share": share}
            report({**metrics, **last}, lambda folder: (folder / "training.pt").write_text(str(epoch)))

    def resolve(self, config):
        return {"epochs": 2, **config}

    def prepare(self, config, data_root):
        pass

    def estimate_seconds(self, config):
        return 1.0

    def gpu_memory(self, config):
        if config["mib"] > 16_000:
            raise ValueError("a trial does not fit the 16000 MiB that the GPU has free: lower batch_size")
        return config["mib"], 16_000.0

arms = (Arm("plain", {}), Arm("large", {"mib": 4_000.0}), Arm("greedy", {"greedy": True}))
study = Study(name="toy", base={"mib": 1_000.0, "greedy": False}, arms=arms, seeds=range(2))

if __name__ == "__main__":
    main(study, Toy())
"""


def test_by_hand() -> None:
    packing = Packing(needed=4_000, free=16_000, cell="large")
    assert packing.count == 3  # of 14,400 MiB
    assert packing.gpus == 0.3333
    assert Packing(needed=15_000, free=16_000, cell="large").gpus == 1  # the margin is gone, but it fits


@given(needed=st.floats(1, 2e5), free=st.floats(1, 2e5))
def test_trials_fit_a_gpu_and_no_more_do(needed: float, free: float) -> None:
    packing = Packing(needed, free, "cell")
    assert packing.count * packing.gpus <= 1
    assert packing.count == 1 or packing.count * needed <= 0.9 * free * (1 + 1e-9)
    assert (packing.count + 1) * needed > 0.9 * free


@pytest.mark.parametrize(
    ("error", "full"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", True),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory.", True),
        ("RuntimeError: CUDA error: out of memory", True),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("RuntimeError: CUDA error: device-side assert triggered", False),
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.", False),
        ("ValueError: out of memory", False),
    ],
)
def test_what_running_out_of_gpu_memory_is(error: str, full: bool) -> None:
    traceback = (
        f'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    raise torch.OutOfMemoryError()\n{error}'
    )
    assert ran_out(traceback) == full


def test_the_share_doubles_up_to_a_whole_gpu() -> None:
    assert [more(gpus) for gpus in (0.125, 0.3333, 0.6666, 1.0, 2.0)] == [0.25, 0.6666, 1.0, 1.0, 2.0]


@pytest.mark.slow
def test_trials_are_packed_and_one_that_runs_out_gets_more_room(tmp_path: Path) -> None:
    run_alone(__file__, tmp_path, timeout=300)


def run_studies(folder: Path) -> None:
    """In a network of its own."""
    (folder / "toy_study.py").write_text(STUDY)
    with ray_cluster.running() as cluster:
        cluster.add_worker("--num-gpus", "1", "--num-cpus", "4")
        cluster.wait_for(2)

        def run(*options: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "toy_study.py", "--address", cluster.address, *options]
            return subprocess.run(
                command, env=cluster.environment, cwd=folder, capture_output=True, text=True, timeout=200
            )

        refused = run("--gpus-per-trial", "auto", "--set", "mib=20000")
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "--gpus-per-trial auto: a trial does not fit the 16000 MiB" in refused.stderr
        assert "Traceback" not in refused.stderr

        plan = run("--gpus-per-trial", "auto", "--dry-run")
        assert plan.returncode == 0, plan.stdout + plan.stderr
        assert "3 trials to a GPU: large, which needs most, takes 4,000 MiB (measured)" in plan.stdout
        assert "with 3 at a time" in plan.stdout

        done = run("--gpus-per-trial", "auto")
        assert done.returncode == 0, done.stdout + done.stderr
        again = "ran out of GPU memory, attempt 2 goes on from its last epoch with 67% of a GPU"
        assert done.stdout.count(again) == 2
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("toy")
    runs = client.search_runs([experiment.experiment_id], "tags.`mixlab.level` = 'seed'")
    shares = {
        (run.data.tags["mixlab.arm"], run.data.tags["mixlab.seed"]): [
            point.value for point in client.get_metric_history(run.info.run_id, "share")
        ]
        for run in runs
    }
    assert shares == {
        (arm, seed): [0.3333, 0.6666 if arm == "greedy" else 0.3333]
        for arm in ("plain", "large", "greedy")
        for seed in ("0", "1")
    }


if __name__ == "__main__":
    run_studies(Path(sys.argv[1]))
