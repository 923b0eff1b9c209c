"""Photographs for tests of detection: small pictures pasted on grey noise, in the layout of COCO."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIDE = 96


def write_collages(root: Path, pictures: Tensor, labels: Tensor, names: list[str], train: int, test: int) -> None:
    """Write collages of one or two of the pictures each under ``root/coco``.

    Args:
        root: the data root.
        pictures: (N, 3, h, w) uint8.
        labels: (N,) int64, the index of each picture's class in ``names``.
        names: the names of the classes.
        train: the number of collages to train on.
        test: the number of collages to test on; none of them has a picture of the others.
    """
    rng = np.random.default_rng(0)
    half = len(pictures) // 2
    height, width = pictures.shape[2:]
    for part, count, first in (("train2017", train, 0), ("val2017", test, half)):
        folder = root / "coco" / part
        folder.mkdir(parents=True, exist_ok=True)
        annotations: list[dict[str, object]] = []
        for number in range(count):
            collage = rng.integers(110, 140, (SIDE, SIDE, 1), dtype=np.uint8).repeat(3, axis=2)
            for side in range(rng.integers(1, 3)):  # one in the left half, and sometimes one in the right
                chosen = first + int(rng.integers(half))
                left = side * SIDE // 2 + int(rng.integers(SIDE // 2 - width + 1))
                top = int(rng.integers(SIDE - height + 1))
                collage[top : top + height, left : left + width] = pictures[chosen].permute(1, 2, 0)
                box = [left, top, width, height]
                category = int(labels[chosen]) + 1
                annotations.append({"image_id": number, "bbox": box, "category_id": category, "iscrowd": 0})
            Image.fromarray(collage).save(folder / f"{number}.png")
        content = {
            "images": [{"id": number, "file_name": f"{number}.png"} for number in range(count)],
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
        }
        file = root / "coco" / "annotations" / f"instances_{part}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))


def squares(count: int) -> tuple[Tensor, Tensor]:
    """Return plain red and blue pictures (count, 3, 24, 24) and their labels, 0 and 1."""
    labels = torch.arange(count) % 2
    pictures = torch.zeros(count, 3, 24, 24, dtype=torch.uint8)
    pictures[labels == 0, 0] = 255
    pictures[labels == 1, 2] = 255
    return pictures, labels
