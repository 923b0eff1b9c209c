"""AugMix: an image mixed with several chains of simple operations on itself.

D. Hendrycks, N. Mu, E. D. Cubuk, B. Zoph, J. Gilmer and B. Lakshminarayanan, "AugMix: A Simple Data
Processing Method to Improve Robustness and Uncertainty", ICLR 2020, arXiv:1912.02781. Its loss, which
compares an image with two such mixtures of it, is in ``methods/consistency.py``.

Shape letters: B batch, C channels, H height, W width.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor

from trainables.augment import value_tables
from trainables.augment.colour import QUALITIES, blend, lacking
from trainables.mixers.mixed import Mixed, alone, beta, dirichlet
from trainables.mixers.saliency import to_bytes
from trainables.ranges import Few

OPERATIONS = (
    *("autocontrast", "equalize", "posterize", "solarize"),
    *("rotate", "shear_x", "shear_y", "translate_x", "translate_y"),
)


def augmix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    severity: Annotated[float, Field(ge=0.1, le=10)] = 3.0,
    width: Few = 3,
    depth: Few = 3,
    legacy: bool = False,
) -> Mixed:
    """Mix every image with ``width`` chains of operations on it, ``(1 - m) image + m sum_i w_i chain_i``.

    Args:
        alpha: draws w ~ Dirichlet(alpha, ...) and m ~ Beta(alpha, alpha), one of each a row.
        severity: how strong the operations are, from 0.1 to 10; the official code has 1 for ImageNet.
        width: the number of chains.
        depth: the most operations in a chain; each chain of each row has from 1 to ``depth``.
        legacy: mix as OpenMixup does, whose severity is 1. The shares, m, and the lengths and operations of the chains
            are then drawn once for all rows. The operations also change brightness, contrast, colour and sharpness,
            which the paper leaves out, because they are among the corruptions that it tests with. The images must be
            normalised ones, so that a chain has black for all values below the mean and white for those more than a
            deviation above it; the network normalises the mixture once more, and the loss has no divergence.

    The label stays: the ``Mixed`` has K = 1. The operations are those of the official code, on bytes, with its ranges;
    the mixing is the same on pixels as on normalised images, where the official code does it. Its training recipe alone
    reaches its numbers: the loss on three views, and no other mixing.
    """
    size, rows = len(images), 1 if legacy else len(images)  # rows: how many have draws of their own
    number = len(OPERATIONS) + len(QUALITIES) if legacy else len(OPERATIONS)
    shares = dirichlet(alpha, (rows, width), rng)
    m = beta(alpha, rows, rng)[:, None, None, None]
    length = torch.randint(1, depth + 1, (rows * width,), generator=rng, device=rng.device).repeat(size // rows)

    pixels = to_bytes((images.detach() * 255).floor() / 255 if legacy else images.detach())
    chains = pixels.repeat_interleave(width, dim=0)  # (B width, C, H, W)
    for step in range(depth):
        drawn = torch.randint(number, (rows * width,), generator=rng, device=rng.device).repeat(size // rows)
        changed = apply_one_each(chains, drawn, rng, severity)
        if legacy:
            blended = blend_one_each(chains, drawn - len(OPERATIONS), rng, severity)
            changed = torch.where((drawn < len(OPERATIONS))[:, None, None, None], changed, blended)
        chains = torch.where((step < length)[:, None, None, None], changed, chains)
    chains = chains.unflatten(0, (size, width)) / 255
    mixture = (shares[:, :, None, None, None] * chains).sum(dim=1)
    return alone(torch.lerp(images, mixture.to(images.dtype), m.to(images.dtype)))


def apply_one_each(pixels: Tensor, drawn: Tensor, rng: Generator, severity: float) -> Tensor:
    """Return each image, (B, C, H, W) whole numbers in 0..255, after one operation.

    ``drawn`` (B,) int64 numbers ``OPERATIONS``. The strength is uniform from 0.1 to ``severity``, of 10; the input is
    left unchanged.
    """
    size, _, height, width = pixels.shape
    level = (0.1 + (severity - 0.1) * torch.rand(size, generator=rng, device=rng.device)) / 10
    signed = torch.where(torch.rand(size, generator=rng, device=rng.device) < 0.5, -level, level)

    histogram = value_tables.counted(pixels)
    tables = {
        "autocontrast": value_tables.autocontrast(histogram),
        "equalize": value_tables.equalize(histogram),
        "posterize": value_tables.posterize(4 - (level * 4).long()),
        "solarize": value_tables.solarize(256 - (level * 256).long()),
    }
    replaced = value_tables.replaced(pixels, ((drawn == OPERATIONS.index(name), tables[name]) for name in tables))
    moved = affine(pixels, moves(drawn, signed, height, width))
    by_value = (drawn < len(tables))[:, None, None, None]  # the tables' operations come first
    return torch.where(by_value, replaced, moved)


def blend_one_each(pixels: Tensor, drawn: Tensor, rng: Generator, severity: float) -> Tensor:
    """Return images in 0..255 that have lost most of one quality; ``drawn`` (B,) int64 numbers ``QUALITIES``.

    The share that is left is 0.1 and up to 0.18 for each unit of strength, as in the official code.
    """
    strength = 0.1 + (severity - 0.1) * torch.rand(len(pixels), generator=rng, device=rng.device)
    chosen = {name: drawn == number for number, name in enumerate(QUALITIES)}
    return blend(lacking(pixels, chosen), pixels, 0.1 + 0.18 * strength)


def moves(drawn: Tensor, signed: Tensor, height: int, width: int) -> Tensor:
    """Return the matrix (B, 2, 3) of each row that is moved, and the identity for the others.

    ``drawn`` (B,) int64 numbers ``OPERATIONS``. ``signed`` (B,) is the strength in [-1, 1], as a share of 30 degrees,
    of a shear of 0.3, or of a third of the side; degrees and pixels are cut down to whole ones.
    """

    def of(name: str, amount: Tensor) -> Tensor:
        return torch.where(drawn == OPERATIONS.index(name), amount, 0)

    matrix = rotation(of("rotate", (signed * 30).trunc()), height, width).float()
    matrix[:, 0, 1] += of("shear_x", signed * 0.3)
    matrix[:, 1, 0] += of("shear_y", signed * 0.3)
    matrix[:, 0, 2] += of("translate_x", (signed * (width / 3)).trunc())
    matrix[:, 1, 2] += of("translate_y", (signed * (height / 3)).trunc())
    return matrix


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
    return (moved + 1e-3).floor_() * seen[:, None]


def rotation(degrees: Tensor, height: int, width: int) -> Tensor:
    """Return the matrix (B, 2, 3) of a turn by (B,) degrees, counter-clockwise about the middle."""
    angle = degrees.double().deg2rad()
    cos, sin = angle.cos(), angle.sin()
    middle_x, middle_y = width / 2, height / 2
    across = torch.stack((cos, -sin, middle_x - cos * middle_x + sin * middle_y), dim=1)
    down = torch.stack((sin, cos, middle_y - sin * middle_x - cos * middle_y), dim=1)
    return torch.stack((across, down), dim=1)
