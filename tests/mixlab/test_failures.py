"""Trials that crash: retried from their checkpoint, recorded as failed in the end, and the rest goes on."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

pytestmark = pytest.mark.slow

# A trainable of a few lines: three epochs, and a file beside it says where each attempt began.
STUDY = '''
"""A toy study."""
from pathlib import Path
import torch
from mixlab import Arm, Study, main

FOLDER = Path(__file__).parent

class Toy:
    presets = {"paper": {}, "quick": {}, "smoke": {}}

    def __call__(self, config, seed, report, resume_from):
        done = int((resume_from / "training.pt").read_text()) if resume_from else 0
        with (FOLDER / f"attempts-{config['fault']}-{seed}").open("a") as file:
            file.write(f"{done}\\n")
        with (FOLDER / "threads").open("a") as file:
            file.write(f"{torch.get_num_threads()}\\n")
        for epoch in range(done + 1, 4):
            if epoch == 3 and config["fault"] and not (FOLDER / "mended").exists():
                raise RuntimeError(f"broken in epoch {epoch}")
            last = {"test_top1_median10": 50.0 + seed} if epoch == 3 else {}
            metrics = {"epoch": epoch, "epochs": 3, "data": "toy", "train_loss": 1.0 / epoch, "test_top1": 10.0 * epoch}
            report({**metrics, **last}, lambda folder: (folder / "training.pt").write_text(str(epoch)))

    def resolve(self, config):
        return {"epochs": 3, **config}

    def prepare(self, config, data_root):
        pass

    def estimate_seconds(self, config):
        return 1.0

arms = (Arm("sound", {}), Arm("faulty", {"fault": True}))
study = Study(name="toy", base={"fault": False}, arms=arms, seeds=range(2))

if __name__ == "__main__":
    main(study, Toy())
'''


def seed_runs(folder: Path) -> dict[tuple[str, str], Run]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("toy")
    runs = client.search_runs([experiment.experiment_id], "tags.`mixlab.level` = 'seed'")
    return {(run.data.tags["mixlab.arm"], run.data.tags["mixlab.seed"]): run for run in runs}


def test_a_faulty_arm_is_retried_recorded_and_trained_again_once_mended(tmp_path: Path) -> None:
    (tmp_path / "toy_study.py").write_text(STUDY)
    command = [sys.executable, "toy_study.py"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert first.returncode == 1, first.stdout + first.stderr
    assert "failed: faulty · seed 0: RuntimeError: broken in epoch 3" in first.stdout.replace("\n", " ")

    runs = seed_runs(tmp_path)
    assert {cell: run.info.status for cell, run in runs.items()} == {
        ("sound", "0"): "FINISHED",
        ("sound", "1"): "FINISHED",
        ("faulty", "0"): "FAILED",
        ("faulty", "1"): "FAILED",
    }
    for seed in ("0", "1"):
        # Three repetitions, each from the second epoch's checkpoint.
        assert (tmp_path / f"attempts-True-{seed}").read_text().split() == ["0", "2", "2", "2"]
    failed = runs["faulty", "0"]
    assert failed.data.tags["mixlab.error"] == "RuntimeError: broken in epoch 3"
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    traceback = Path(client.download_artifacts(failed.info.run_id, "traceback.txt")).read_text()
    assert 'toy_study.py", line' in traceback
    assert "\x1b" not in traceback
    assert [m.step for m in client.get_metric_history(failed.info.run_id, "train_loss")] == [1, 2]

    assert set((tmp_path / "threads").read_text().split()) == {"1"}  # the processor that a trial gets by default

    plan = subprocess.run([*command, "--dry-run"], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert "4 trials: 2 done, 2 failed" in plan.stdout

    (tmp_path / "mended").touch()
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert second.returncode == 0, second.stdout + second.stderr
    assert {run.info.status for run in seed_runs(tmp_path).values()} == {"FINISHED"}
    assert {run.info.run_id for run in seed_runs(tmp_path).values()} == {run.info.run_id for run in runs.values()}
    assert (tmp_path / "attempts-True-0").read_text().split() == ["0", "2", "2", "2", "2"]
    assert (tmp_path / "attempts-False-0").read_text().split() == ["0"]
    assert seed_runs(tmp_path)["faulty", "0"].data.tags["mixlab.error"] == ""
