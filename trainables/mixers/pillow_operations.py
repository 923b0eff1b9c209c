"""Pillow's moves of pixels, for a whole batch with a matrix for each image.

Images are bytes as whole float32 numbers, (B, C, H, W) in 0..255, left unchanged. Tested against Pillow.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def affine(pixels: Tensor, matrix: Tensor) -> Tensor:
    """Move pixels as Pillow's ``Image.transform(AFFINE, BILINEAR)`` does: black comes from outside the image.

    ``matrix`` (B, 2, 3) maps the point (x, y, 1) of the result, in pixels, to the point of the image.
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
