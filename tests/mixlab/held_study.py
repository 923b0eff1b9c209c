"""A small study that trains for real on drawn images and can be held in an epoch, for tests that lose machines."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from PIL import Image

from tests.servers.machines import Machine

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


@dataclass(frozen=True, eq=False)
class Place:
    """A folder with its own store and storage, and a script in the folder above."""

    folder: Path
    script: str
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def start(self, *options: str, hold: int = 0, at: Machine | None = None) -> subprocess.Popen[bytes]:
        self.folder.mkdir(exist_ok=True)
        if hold:
            (self.folder / "hold").touch()
        data = ("--data-root", str(self.folder.parent), "--preset", "smoke")
        command = [sys.executable, str(self.folder.parent / self.script), *data, *options]
        command = at.inside(self.folder, *command) if at else command
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

    def wait_for_word_of_the_head(self, address: str) -> None:
        """Return when the driver has said that the head is lost; it was there until now."""
        end = time.monotonic() + SAY_SECONDS
        while f"the head of the Ray cluster at --address '{address}' has died" not in self.said:
            assert time.monotonic() < end, self.said[-4000:]
            time.sleep(0.1)
        assert "the same command goes on" in self.said

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

    def require_same_as(self, undisturbed: "Place") -> None:
        """Every epoch of every seed is there once, with the numbers, models and table of the other."""
        results = self.results()
        assert [len(of_seed["train_loss"]) for of_seed in results.values()] == [EPOCHS] * SEEDS
        assert results == undisturbed.results()
        assert self.table() == undisturbed.table()

    def table(self) -> str:
        return (self.folder / "results" / "study" / "smoke" / "table.csv").read_text()


def draw_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 400), ("test", 40)):
        for number in range(count):
            path = folder / split / str(number % 4) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
