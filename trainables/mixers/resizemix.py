"""ResizeMix: a whole image, made small, pasted into another.

J. Qin, J. Fang, Q. Zhang, W. Liu, X. Wang and X. Wang, "ResizeMix: Mixing Data with Preserved Object
Information and True Labels", arXiv:2012.11101.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainables.mixers.boxes import Boxes, Label, clipped_boxes, label_share, outside, uniform_pixels
from trainables.mixers.mixed import Mixed, beta, pair, partners


def shrink_nearest(images: Tensor, boxes: Boxes) -> Tensor:
    """Return (B, C, H, W) in which each row's box holds the whole image, by nearest neighbour; undefined outside."""
    size, channels, height, width = images.shape
    rows = torch.arange(height, device=images.device) - boxes.top[:, None]  # (B, H), 0 at the box's top
    columns = torch.arange(width, device=images.device) - boxes.left[:, None]
    rows = rows.mul_(height).div_((boxes.bottom - boxes.top).clamp_(min=1)[:, None], rounding_mode="floor")
    columns = columns.mul_(width).div_((boxes.right - boxes.left).clamp_(min=1)[:, None], rounding_mode="floor")
    rows, columns = rows.clamp_(0, height - 1), columns.clamp_(0, width - 1)
    pixel = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)  # (B, HW)
    return images.flatten(2).gather(2, pixel[:, None].expand(size, channels, -1)).view_as(images)


def shrink_bilinear(images: Tensor, boxes: Boxes) -> Tensor:
    """Return the same as ``shrink_nearest``, by bilinear interpolation between pixel centres, without antialiasing."""
    size, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) - boxes.top[:, None] + 0.5
    columns = torch.arange(width, device=images.device) - boxes.left[:, None] + 0.5
    y = rows / (boxes.bottom - boxes.top).clamp_(min=1)[:, None] * 2 - 1  # (B, H), -1 to 1 from edge to edge
    x = columns / (boxes.right - boxes.left).clamp_(min=1)[:, None] * 2 - 1
    grid = torch.stack((x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)), dim=-1)
    shrunk = F.grid_sample(
        images.float(), grid.expand(size, -1, -1, -1), mode="bilinear", padding_mode="border", align_corners=False
    )
    return shrunk.to(images.dtype)


def resizemix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    scope: tuple[float, float] = (0.1, 0.8),
    interpolation: Literal["nearest", "bilinear"] = "nearest",
    per_batch: bool = False,
    label: Label = "area",
) -> Mixed:
    """Paste the whole partner, resized, into a box of every image.

    Args:
        alpha: draws tau, the box's share of each side, from Beta(alpha, alpha). A draw outside ``scope`` is
            drawn again, uniformly inside it; alpha = 1 is therefore the paper's tau ~ U(0.1, 0.8).
        scope: the least and the largest tau.
        interpolation: how the partner is resized.
        per_batch: one box for the whole batch, as the code of OpenMixup has it.
        label: ``drawn`` is ``1 - tau ** 2``, before the box was clipped.

    The weights are counted in pixels. A box is clipped at the border before the partner is resized into it, so that all
    of the partner is always seen.
    """
    low, high = scope
    if not 0 <= low < high <= 1:
        raise ValueError(f"scope must be two ascending shares of a side, in [0, 1], got {scope}")
    size, _, height, width = images.shape
    count = 1 if per_batch else size
    tau = beta(alpha, count, rng)
    uniform = low + (high - low) * torch.rand(count, generator=rng, device=rng.device)
    tau = torch.where((tau < low) | (tau > high), uniform, tau)
    boxes = clipped_boxes(uniform_pixels(count, height, width, rng), tau, height, width)
    partner = partners(size, rng)
    shrink = shrink_nearest if interpolation == "nearest" else shrink_bilinear
    own = outside(boxes, height, width).to(images.dtype)
    lam = label_share(boxes, height, width, 1 - tau.square(), label)
    return pair(shrink(images.index_select(0, partner), boxes).lerp_(images, own), partner, lam)
