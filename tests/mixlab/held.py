"""The study that trains a real network and can be held in an epoch, for tests that lose machines."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tests.servers.program import Program
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import NOISE, epochs_of
from tests.waiting import wait_for

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


def require_same(disturbed: StudyFolder, undisturbed: StudyFolder) -> None:
    """Require every epoch of every seed once, with the numbers, models and table of the other."""
    results = disturbed.results()
    assert [len(of_seed["train_loss"]) for of_seed in results.values()] == [EPOCHS] * SEEDS
    assert results == undisturbed.results()
    assert disturbed.table("smoke") == undisturbed.table("smoke")


def draw_images(folder: Path) -> None:
    """Write noise in four classes, 96 images to train on and 40 to test, below ``folder``."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 96), ("test", 40)):
        for number in range(count):
            path = folder / NOISE / split / str(number % 4) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
