"""CIFAR-C-style corruptions of test images, for use where the official files are not at hand.

After D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
ICLR 2019, arXiv:1903.12261: its 15 corruptions, the 4 extra ones, and its severities for CIFAR. The pictures are not
those of CIFAR-10-C: random numbers, filters, the motion of snow and the drawn frost differ. Say "CIFAR-C-style", and
compare with published numbers only what was measured on the official files (``EVALUATION_SETS``).

Shape letters: N images, H height, W width.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from trainables.datasets.cifar_c import CORRUPTIONS, EXTRA_CORRUPTIONS
from trainables.robustness import blur_and_weather, noise_and_colour
from trainables.robustness.noise_and_colour import Pixels, cut_to_bytes
from trainables.seeds import derive_seed

CORRUPT: dict[str, Callable[[Pixels, int, np.random.Generator], Pixels]] = {
    name: getattr(noise_and_colour if hasattr(noise_and_colour, name) else blur_and_weather, name)
    for name in CORRUPTIONS + EXTRA_CORRUPTIONS
}


def corrupt(images: Tensor, corruption: str, severity: int, seed: int = 0) -> Tensor:
    """Return corrupted images (N, 3, H, W) uint8, H and W of at least 16; the same for the same arguments.

    The corruption is one of ``CORRUPT``, its severity 1 to 5.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 16:
        raise ValueError(
            f"corruptions need uint8 images (N, 3, H, W) of at least 16 x 16 pixels, "
            f"got {images.dtype} of shape {tuple(images.shape)}"
        )
    rng = np.random.default_rng(derive_seed(seed, f"{corruption}-{severity}"))
    pixels = images.permute(0, 2, 3, 1).cpu().numpy() / 255
    out = np.clip(CORRUPT[corruption](pixels, severity, rng), 0, 1)
    return torch.from_numpy(cut_to_bytes(out)).permute(0, 3, 1, 2).contiguous()
