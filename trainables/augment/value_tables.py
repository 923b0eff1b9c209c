"""Pillow's operations that replace each value by another, as tables of the 256 new values, for a whole batch.

Images are bytes as whole float32 numbers, (B, C, H, W) in 0..255, left unchanged. Tested against Pillow.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def counted(pixels: Tensor) -> Tensor:
    """Return how often each value occurs in each channel, (B, C, 256) int32."""
    values = pixels.flatten(2).long()  # (B, C, HW)
    zeros = torch.zeros(*values.shape[:2], 256, dtype=torch.int32, device=pixels.device)
    return zeros.scatter_add_(2, values, torch.ones_like(values, dtype=torch.int32))


def replaced(pixels: Tensor, tables: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the images with the values of the table (B, C, 256) for which each is chosen, (B,) bool, or its own."""
    table = torch.arange(256.0, device=pixels.device).expand(*pixels.shape[:2], 256)
    for chosen, new_values in tables:
        table = torch.where(chosen[:, None, None], new_values, table)
    return table.gather(2, pixels.flatten(2).long()).view(pixels.shape)


def extremes(histogram: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest value that occurs in each channel, (B, C, 1) float32 each."""
    value, occurs = torch.arange(256.0, device=histogram.device), histogram > 0
    low, high = torch.where(occurs, value, 255), torch.where(occurs, value, 0)
    return low.amin(dim=2, keepdim=True), high.amax(dim=2, keepdim=True)


def autocontrast(histogram: Tensor) -> Tensor:
    """Return the tables (B, C, 256) that stretch each channel to 0..255; a channel of one value stays."""
    value = torch.arange(256.0, device=histogram.device)
    low, high = extremes(histogram)
    scale = torch.full_like(low, 255).double() / (high - low)  # a plain 255 is multiplied by a rounded reciprocal
    stretched = (value * scale - low * scale).trunc_().clamp_(0, 255).float()
    return torch.where(high > low, stretched, value)


def equalize(histogram: Tensor) -> Tensor:
    """Return the tables (B, C, 256) that make the values of each channel about equally frequent."""
    counts = histogram.long()
    of_the_highest = counts.gather(2, extremes(histogram)[1].long())
    step = (counts.sum(dim=2, keepdim=True) - of_the_highest) // 255  # (B, C, 1)
    table = ((step // 2 + counts.cumsum(dim=2) - counts) // step.clamp_min(1)).clamp_max(255)
    return torch.where(step > 0, table, torch.arange(256, device=histogram.device)).float()


def posterize(bits: Tensor) -> Tensor:
    """Return the tables (B, 1, 256) that keep the highest ``bits`` (B,) of every value, 0 to 8."""
    unit = torch.exp2(8 - bits.float())[:, None, None]
    return (torch.arange(256.0, device=bits.device) / unit).floor() * unit


def solarize(threshold: Tensor) -> Tensor:
    """Return the tables (B, 1, 256) that invert every value from the ``threshold`` (B,) on, 0 to 256."""
    value = torch.arange(256.0, device=threshold.device)
    return torch.where(value < threshold[:, None, None], value, 255 - value)
