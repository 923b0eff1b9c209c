"""The study that trains a real network and can be held in an epoch, for tests that lose machines."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mixlab import Epoch
from tests.servers.program import Program
from tests.study_folder import TIMES_AND_MEMORY, StudyFolder, toy_folder
from tests.toy import NOISE, epochs_of
from tests.waiting import wait_for
from trainables import classify

SAY_SECONDS = 60.0  # the most that a driver may take to notice that its cluster is lost
EPOCHS = 8
SEEDS = 3


def held_folder(folder: Path, environment: Mapping[str, str] | None = None) -> StudyFolder:
    """Return a folder for the study; the images are in the folder above."""
    return toy_folder(folder, "held", "study", empty_store=folder.parent / "mlflow.db", environment=environment)


def options(folder: StudyFolder) -> tuple[str, ...]:
    """Return the options of each start of the study."""
    return ("--data-root", str(folder.folder.parent), "--preset", "smoke")


def furthest(folder: StudyFolder) -> list[int]:
    """Return the last epoch of every seed that has begun, in order."""
    return sorted(max(epochs) for epochs in epochs_of(folder.folder).values())


def wait_for_word_of_the_head(driver: Program, address: str) -> None:
    """Return once the driver has said that the head is lost; until now it was there."""
    word = f"the head of the Ray cluster at --address '{address}' has died"
    wait_for(lambda: word in driver.said, account=lambda: driver.said[-4000:], seconds=SAY_SECONDS)
    assert "the same command goes on" in driver.said


def require_undisturbed(disturbed: StudyFolder, seeds: int = SEEDS, of: int = EPOCHS) -> None:
    """Require ``of`` epochs of every seed once, with the numbers and the network of a training in this process."""
    torch.set_num_threads(1)  # as many as a trial has
    results = disturbed.results()
    assert len(results) == seeds
    for run in disturbed.runs("seed"):
        config = json.loads(Path(disturbed.client.download_artifacts(run.info.run_id, "config.json")).read_text())
        seed, undisturbed = config.pop("seed"), disturbed.folder / "undisturbed"
        undisturbed.mkdir(exist_ok=True)
        epochs: list[dict[str, float]] = []

        def keep(epoch: Epoch, save: Callable[[Path], None], epochs: Any = epochs, to: Path = undisturbed) -> None:
            epochs.append(epoch.metrics)
            save(to)

        classify.train(config, seed, keep, data_root=disturbed.folder.parent)
        assert len(epochs) == of
        found = results[run.data.tags["mixlab.arm"], str(seed)]
        for name in epochs[0].keys() - TIMES_AND_MEMORY:
            assert found[name] == [(number, metrics[name]) for number, metrics in enumerate(epochs, 1)], name
        assert found["model"] == hashlib.sha256((undisturbed / "model.pt").read_bytes()).hexdigest()


def draw_images(folder: Path) -> None:
    """Write noise in four classes, 96 images to train on and 40 to test, below ``folder``."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 96), ("test", 40)):
        for number in range(count):
            path = folder / NOISE / split / str(number % 4) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
