"""CIFAR-10-C and CIFAR-100-C: the test images under 19 corruptions at 5 severities each.

From D. Hendrycks and T. Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations,
ICLR 2019, arXiv:1903.12261. ``CIFAR-10-C/`` and ``CIFAR-100-C/`` in the data root, as the official archives unpack:
a file of 50,000 images a corruption, and ``labels.npy``.
"""

from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from trainables.datasets.dataset import DataError, EvaluationSet, Split

CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"),
)
EXTRA_CORRUPTIONS = ("gaussian_blur", "saturate", "spatter", "speckle_noise")  # in the archive, not in the papers' 15
SEVERITIES = 5


def load_corrupted(root: Path, corruption: str, *, folder: str, images: int = 10_000) -> Split:
    """Return one corruption at all severities: (50000, 3, 32, 32) uint8, the test set from severity 1 to severity 5.

    The file has the name of the corruption, and lies in ``folder`` in the data root, with ``images`` of each severity.
    """
    rows = SEVERITIES * images
    pixels = _array(root / folder / f"{corruption}.npy", np.uint8, (rows, 32, 32, 3))
    labels = _array(root / folder / "labels.npy", np.integer, (rows,))
    return Split(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels.astype(np.int64)))


def by_severity(split: Split) -> list[Split]:
    """Return the images of each severity, from 1 to 5, of what ``load_corrupted`` gives."""
    return [Split(*parts) for parts in zip(*(tensor.chunk(SEVERITIES) for tensor in split), strict=True)]


def _array(file: Path, kind: Any, shape: tuple[int, ...]) -> npt.NDArray[np.integer]:
    try:
        with file.open("rb") as content:
            array = np.lib.format.read_array(content, allow_pickle=False)
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError, TokenError) as error:
        raise DataError(f"{file} is broken ({error})") from error
    if array.shape != shape or not np.issubdtype(array.dtype, kind):
        raise DataError(f"{file} holds {array.dtype} of shape {array.shape}, not {kind.__name__} of shape {shape}")
    return array


def _cifar_c(num_classes: int) -> EvaluationSet:
    return EvaluationSet(
        name=f"cifar{num_classes}_c",
        trained_on=f"cifar{num_classes}",
        parts=CORRUPTIONS + EXTRA_CORRUPTIONS,
        load=partial(load_corrupted, folder=f"CIFAR-{num_classes}-C"),
    )


CIFAR10_C, CIFAR100_C = _cifar_c(10), _cifar_c(100)
