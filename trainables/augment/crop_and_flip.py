"""The papers' augmentation of small images: a random crop after padding, and a random horizontal flip.

Shape letters: B batch, C channels, H height, W width.
"""

import torch
from torch import Generator, Tensor

from trainables.datasets.data_config import PADDING
from trainables.ranges import Padding


def crop_and_flip(images: Tensor, rng: Generator, *, mode: Padding = "reflect") -> Tensor:
    """Cut a random window of each padded image (B, C, H, W), and mirror it half of the time, each by draws of its own.

    The window moves by up to ``PADDING`` pixels in each direction. The padding is zeros, or the image, whose sides must
    be longer, reflected at its border without repeating it. The result is of the same shape and dtype, in the
    channels_last memory format.
    """
    B = len(images)
    down, right = torch.randint(-PADDING, PADDING + 1, (2, B), generator=rng, device=images.device)
    mirrored = torch.rand(B, generator=rng, device=images.device) < 0.5
    return windows(images, down, right, mirrored, mode=mode)


def flip(images: Tensor, rng: Generator) -> Tensor:
    """Mirror each image (B, C, H, W) left to right half of the time; the argument is left unchanged."""
    B = len(images)
    mirrored = torch.rand(B, generator=rng, device=images.device) < 0.5
    pixels = images.permute(0, 2, 3, 1)
    both = torch.cat((pixels, pixels.flip(2)))  # (2B, H, W, C); on a CPU choosing whole images is the fastest way
    return both.index_select(0, torch.arange(B, device=images.device) + B * mirrored).permute(0, 3, 1, 2)


def windows(
    images: Tensor,  # (B, C, H, W)
    down: Tensor,  # (B,) int64
    right: Tensor,  # (B,) int64
    mirrored: Tensor,  # (B,) bool
    *,
    mode: Padding,
) -> Tensor:
    """Show each image through a window of its own size, moved by ``down`` and ``right`` pixels, then mirror it.

    It is one gather of whole pixels: the padding is never built, the index is reflected instead. On a CPU this is
    faster than gathering channel by channel or unfolding a padded batch, and no channels_last image is copied first.
    """
    B, C, H, W = images.shape
    x = torch.arange(W, device=images.device)
    rows = torch.arange(H, device=images.device) + down[:, None]  # (B, H), from -padding to H + padding - 1
    cols = torch.where(mirrored[:, None], W - 1 - x, x) + right[:, None]  # (B, W)

    first = torch.arange(B, device=images.device)[:, None] * H  # (B, 1) number of an image's first row in the batch
    pixel = (first + _reflected(rows, H))[:, :, None] * W + _reflected(cols, W)[:, None, :]  # (B, H, W)
    pixels = images.permute(0, 2, 3, 1).reshape(B * H * W, C)
    moved = pixels.index_select(0, pixel.flatten()).view(B, H, W, C)
    if mode == "zeros":
        inside_rows, inside_cols = (rows >= 0) & (rows < H), (cols >= 0) & (cols < W)
        moved = moved * (inside_rows[:, :, None] & inside_cols[:, None, :])[..., None]
    return moved.permute(0, 3, 1, 2)


def _reflected(index: Tensor, size: int) -> Tensor:
    """Reflect an index up to ``size - 1`` outside an axis into it: -1 becomes 1, ``size`` becomes ``size - 2``."""
    return (size - 1 - (size - 1 - index.abs()).abs()).clamp_(min=0)
