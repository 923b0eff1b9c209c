"""The nine operations of AugMix, as Pillow defines them, for a whole batch with a strength for each image.

D. Hendrycks, N. Mu, E. D. Cubuk, B. Zoph, J. Gilmer and B. Lakshminarayanan, "AugMix: A Simple Data
Processing Method to Improve Robustness and Uncertainty", ICLR 2020, arXiv:1912.02781: what it takes from
AutoAugment and does not overlap with the corruptions of ImageNet-C.

Images are bytes as whole float32 numbers, (B, C, H, W) in 0..255, left unchanged. Tested against Pillow.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def autocontrast(pixels: Tensor) -> Tensor:
    """Stretch each channel to 0..255; a channel of one value stays."""
    low, high = (extreme[..., None, None].double() for extreme in pixels.flatten(2).aminmax(dim=2))
    scale = torch.full_like(low, 255) / (high - low)  # a plain 255 would be times the rounded reciprocal
    stretched = (pixels * scale - low * scale).trunc_().clamp_(0, 255).float()
    return torch.where(high > low, stretched, pixels)


def equalize(pixels: Tensor) -> Tensor:
    """Spread each channel's values so that all are about as frequent."""
    values = pixels.flatten(2).long()  # (B, C, HW)
    ones = torch.ones_like(values, dtype=torch.float32)
    counts = torch.zeros(*values.shape[:2], 256, device=pixels.device).scatter_add_(2, values, ones).long()
    of_the_highest = counts.gather(2, values.amax(dim=2, keepdim=True))
    step = (values.shape[2] - of_the_highest) // 255  # (B, C, 1)
    below = counts.cumsum(dim=2) - counts
    table = ((step // 2 + below) // step.clamp_min(1)).clamp_max(255).float()  # (B, C, 256)
    equal = table.gather(2, values).view(pixels.shape)
    return torch.where(step[..., None] > 0, equal, pixels)


def posterize(pixels: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest bits of every value.

    Args:
        pixels: (B, C, H, W).
        bits: (B,) in 0..8.
    """
    unit = torch.exp2(8 - bits.float())[:, None, None, None]
    return (pixels / unit).floor_() * unit


def solarize(pixels: Tensor, threshold: Tensor) -> Tensor:
    """Invert every value from the threshold on.

    Args:
        pixels: (B, C, H, W).
        threshold: (B,) in 0..256.
    """
    return torch.where(pixels < threshold[:, None, None, None], pixels, 255 - pixels)


def affine(pixels: Tensor, matrix: Tensor) -> Tensor:
    """Move pixels as Pillow's ``Image.transform(AFFINE, BILINEAR)`` does: black comes from outside the image.

    Args:
        pixels: (B, C, H, W).
        matrix: (B, 2, 3), from the point (x, y, 1) of the result, in pixels, to the point of the image.
    """
    height, width = pixels.shape[2:]
    x = torch.arange(width, device=pixels.device, dtype=torch.float32) + 0.5
    y = torch.arange(height, device=pixels.device, dtype=torch.float32) + 0.5
    a, b, c, d, e, f = matrix.float().flatten(1).T[..., None, None]  # (B, 1, 1) each
    from_x = a * x + b * y[:, None] + c  # (B, H, W)
    from_y = d * x + e * y[:, None] + f
    seen = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)
    grid = torch.stack((2 * from_x / width - 1, 2 * from_y / height - 1), dim=-1)
    moved = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    # Pillow truncates; a whole number up to rounding stays that number.
    return (moved + 1e-3).floor_().clamp_(0, 255) * seen[:, None]


def rotation(degrees: Tensor, height: int, width: int) -> Tensor:
    """Return the matrix (B, 2, 3) of a turn by (B,) degrees, counter-clockwise about the middle."""
    angle = degrees.double().deg2rad()
    cos, sin = angle.cos(), angle.sin()
    middle_x, middle_y = width / 2, height / 2
    across = torch.stack((cos, -sin, middle_x - cos * middle_x + sin * middle_y), dim=1)
    down = torch.stack((sin, cos, middle_y - sin * middle_x - cos * middle_y), dim=1)
    return torch.stack((across, down), dim=1)
