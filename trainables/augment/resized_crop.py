"""Random resized crops, and resizing: where to cut, and how a batch is cut and resized on the device.

The crop is that of C. Szegedy et al., Going Deeper with Convolutions, CVPR 2015, arXiv:1409.4842, with torchvision's
rule for boxes that do not fit. Resizing weighs pixels as Pillow does, by a triangle or a cubic (a = -0.5) as wide as
the step, within the box.

Shape letters: B batch, C channels, H height, W width, S side of the result.
"""

import math

import torch
from torch import Generator, Tensor

from trainables.constants import constant
from trainables.ranges import Interpolation

RATIO = (3 / 4, 4 / 3)  # width / height
TRIES = 10
DRAWS = 2 * TRIES + 2  # uniform numbers that a box takes


def random_boxes(
    draws: Tensor,  # (B, DRAWS) uniform in [0, 1)
    heights: Tensor,  # (B,) or () pixels
    widths: Tensor,  # (B,) or () pixels
    scale: float,
) -> Tensor:
    """Return where to cut: the first of ten boxes that fits, else the largest centred one of an allowed shape.

    There are two draws for each of the ten boxes, area and shape, and two for the position. A box has at least the
    share ``scale`` of the image's area. The result is (B, 4) int64: top, left, height, width.
    """
    draws, heights, widths = draws.double(), heights.double().view(-1, 1), widths.double().view(-1, 1)
    area = heights * widths * (scale + (1 - scale) * draws[:, 0 : 2 * TRIES : 2])  # (B, TRIES)
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    ratio = (low + (high - low) * draws[:, 1 : 2 * TRIES : 2]).exp()
    height, width = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (height >= 1) & (width >= 1) & (height <= heights) & (width <= widths)
    first = fits.long().argmax(dim=1, keepdim=True)
    some = fits.any(dim=1, keepdim=True)

    centred_width = torch.minimum(widths, (heights * RATIO[1]).round())
    centred_height = torch.minimum(heights, (widths / RATIO[0]).round())
    height = torch.where(some, height.gather(1, first), centred_height)
    width = torch.where(some, width.gather(1, first), centred_width)
    down, right = draws[:, -2, None], draws[:, -1, None]
    top = torch.where(some, down * (heights - height + 1), (heights - height) / 2).floor()
    left = torch.where(some, right * (widths - width + 1), (widths - width) / 2).floor()
    return torch.cat((top, left, height, width), dim=1).long()


def random_resized_crop(
    images: Tensor,  # (B, C, H, W) uint8
    rng: Generator,
    *,
    size: int,
    scale: float = 0.08,
    interpolation: Interpolation = "bicubic",
) -> Tensor:
    """Cut a random box out of each image, a different one per row, and resize it: (B, C, size, size) uint8.

    A box takes at least the share ``scale`` of the image's area.
    """
    B, _, H, W = images.shape
    draws = torch.rand(B, DRAWS, generator=rng, device=images.device)
    boxes = random_boxes(draws, constant(H, draws.device), constant(W, draws.device), scale)
    return cut(images, boxes, (size, size), interpolation)


def resize(images: Tensor, size: tuple[int, int], interpolation: Interpolation = "bicubic") -> Tensor:
    """Return the whole of each image (B, C, H, W) uint8, resized to (height, width) ``size``."""
    B, _, H, W = images.shape
    return cut(images, constant(((0, 0, H, W),), images.device, torch.int64).expand(B, 4), size, interpolation)


def cut(
    images: Tensor,  # (B, C, H, W) uint8
    boxes: Tensor,  # (B, 4) int64: top, left, height, width
    size: tuple[int, int],
    interpolation: Interpolation,
) -> Tensor:
    """Return each image's box, resized to (height, width) ``size``: (B, C, height, width) uint8.

    Each row of the batch takes two matrix products, rows then columns: one kernel serves boxes of all sizes.
    """
    down = _weights(boxes[:, 0], boxes[:, 2], images.shape[2], size[0], interpolation)  # (B, S, H)
    across = _weights(boxes[:, 1], boxes[:, 3], images.shape[3], size[1], interpolation)  # (B, S, W)
    with torch.autocast(images.device.type, enabled=False):  # some are resized while a network computes in half
        rows = down[:, None] @ images.float()  # (B, C, S, W)
        return (rows @ across[:, None].transpose(2, 3)).round_().clamp_(0, 255).to(torch.uint8)


def _weights(start: Tensor, length: Tensor, pixels: int, size: int, interpolation: Interpolation) -> Tensor:
    """Return the weight of each pixel of an axis in each pixel of the result, (B, size, pixels); rows sum to 1.

    ``start`` and ``length``, (B,) int64, are the first pixel of the box and the number of its pixels.
    """
    step = (length.double() / size)[:, None, None]  # (B, 1, 1)
    pixel = torch.arange(pixels, device=start.device)[None, None]  # (1, 1, pixels)
    inside = (pixel >= start[:, None, None]) & (pixel < (start + length)[:, None, None])
    centre = (torch.arange(size, device=start.device)[:, None] + 0.5) * step + start[:, None, None]  # (B, size, 1)
    distance = ((pixel + 0.5 - centre) / step.clamp_min(1)).abs()
    weights = ((1 - distance).clamp_min(0) if interpolation == "bilinear" else _cubic(distance)) * inside
    return (weights / weights.sum(dim=2, keepdim=True)).float()


def _cubic(distance: Tensor) -> Tensor:
    near = (1.5 * distance - 2.5) * distance.square() + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0))
