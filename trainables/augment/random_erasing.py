"""Random erasing: a box of an image becomes noise.

Z. Zhong, L. Zheng, G. Kang, S. Li and Y. Yang, Random Erasing Data Augmentation, AAAI 2020, arXiv:1708.04896, with the
noise of the DeiT recipe: each value from a normal distribution with the data set's mean and deviation.

Shape letters: B batch, C channels, H height, W width.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from trainables.constants import constant

AREA = (0.02, 1 / 3)  # the box's share of the image
RATIO = (0.3, 1 / 0.3)  # height / width
TRIES = 10


def random_erasing(
    images: Tensor,  # (B, C, H, W) uint8
    rng: Generator,
    *,
    probability: float,
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """Replace a random box by noise in an image with this probability; (B, C, H, W) uint8.

    The noise has the data set's mean and deviation, for pixels in [0, 1]. DeiT's code erases after normalising and does
    not bound the noise; here it is cut off at black and white.
    """
    B, C, H, W = images.shape
    draws = torch.rand(5, B, TRIES, generator=rng, device=images.device)
    area = H * W * (AREA[0] + (AREA[1] - AREA[0]) * draws[0])
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    ratio = (low + (high - low) * draws[1]).exp()
    height, width = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (height < H) & (width < W)
    first = fits.long().argmax(dim=1, keepdim=True)
    height, width = height.gather(1, first), width.gather(1, first)  # (B, 1)
    top = (draws[2, :, :1] * (H - height + 1)).floor()
    left = (draws[3, :, :1] * (W - width + 1)).floor()
    chosen = (draws[4, :, 0] < probability) & fits.any(dim=1)

    y, x = torch.arange(H, device=images.device), torch.arange(W, device=images.device)
    box = ((y >= top) & (y < top + height))[:, :, None] & ((x >= left) & (x < left + width))[:, None, :]  # (B, H, W)
    noise = torch.randn(images.shape, generator=rng, device=images.device)
    noise = 255 * (noise * constant(std, noise.device).view(1, C, 1, 1) + constant(mean, noise.device).view(1, C, 1, 1))
    erased = box[:, None] & chosen[:, None, None, None]
    return torch.where(erased, noise.round_().clamp_(0, 255).to(torch.uint8), images)
