"""The single test images that a command shows."""

import argparse
from pathlib import Path

from torch import Tensor

from analysis.networks.class_names import class_names
from analysis.networks.evaluate import all_of, all_test_images, as_tested, take_images
from trainables.config import Config


def choose_images(options: argparse.Namespace) -> int:
    """Let ``--pick``, which must be positions in the test set, replace ``--images``; return the number of images."""
    if options.pick is None:
        return int(options.images)
    parts = [part.strip() for part in options.pick.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"--pick must be positions in the test set such as 3,17,42, got {options.pick!r}")
    options.images = [int(part) for part in parts]
    return len(parts)


def shown_images(config: Config, images: int | list[int], data_root: Path) -> tuple[Tensor, Tensor, list[str]]:
    """Return test images (N, C, H, W) in [0, 1] and labels (N,), on the CPU, and class names.

    Errors are those of ``evaluate.open_images``.
    """
    found, labels = all_of(as_tested(take_images(config, images, data_root), config), config)
    return found.cpu(), labels.cpu(), class_names(config, all_test_images(config, data_root))
