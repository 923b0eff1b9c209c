"""A folder of noise in four classes, and the configuration of a small network that trains on it."""

from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = "noise"
CONFIG = {"dataset": "folder", "folder": FOLDER, "num_classes": 4, "image_size": 32, "backbone": "resnet8"}


def draw_images(folder: Path) -> None:
    """Write 96 images to train on and 40 to test on, in the folder's ``FOLDER``."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 96), ("test", 40)):
        for number in range(count):
            path = folder / FOLDER / split / str(number % 4) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
