"""AugMix: an image mixed with several chains of simple operations on itself.

D. Hendrycks, N. Mu, E. D. Cubuk, B. Zoph, J. Gilmer and B. Lakshminarayanan, "AugMix: A Simple Data
Processing Method to Improve Robustness and Uncertainty", ICLR 2020, arXiv:1912.02781. Its loss, which
compares an image with two such mixtures of it, is in ``methods/consistency.py``.

Shape letters: B batch, C channels, H height, W width.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainables.augment import value_tables
from trainables.mixers.mixed import Mixed, alone, beta, dirichlet
from trainables.mixers.pillow_operations import affine, rotation
from trainables.mixers.saliency import to_bytes
from trainables.ranges import Count

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
    width: Count = 3,
    depth: Count = 3,
) -> Mixed:
    """Mix every image with ``width`` chains of operations on it, ``(1 - m) image + m sum_i w_i chain_i``.

    Args:
        alpha: draws w ~ Dirichlet(alpha, ...) and m ~ Beta(alpha, alpha), one of each a row.
        severity: how strong the operations are, from 0.1 to 10.
        width: chains.
        depth: operations in a chain; each chain of each row has from 1 to ``depth`` of them.

    The label stays: the ``Mixed`` has K = 1. The operations are those of the official code, on bytes, with its ranges;
    the mixing is the same on pixels as on normalised images, where the official code does it. Its training recipe alone
    reaches its numbers: the loss on three views, and no other mixing.
    """
    size = len(images)
    shares = dirichlet(alpha, (size, width), rng)
    m = beta(alpha, size, rng)[:, None, None, None]
    length = torch.randint(1, depth + 1, (size * width,), generator=rng, device=rng.device)

    chains = to_bytes(images.detach()).repeat_interleave(width, dim=0)  # (B width, C, H, W)
    for step in range(depth):
        changed = apply_one_each(chains, rng, severity)
        chains = torch.where((step < length)[:, None, None, None], changed, chains)
    chains = chains.unflatten(0, (size, width)) / 255
    mixture = (shares[:, :, None, None, None] * chains).sum(dim=1)
    return alone(torch.lerp(images, mixture.to(images.dtype), m.to(images.dtype)))


def apply_one_each(pixels: Tensor, rng: Generator, severity: float) -> Tensor:
    """Return each image, (B, C, H, W) whole numbers in 0..255, after one of the nine operations, at random.

    The strength is uniform from 0.1 to ``severity``, of 10; the input is left unchanged.
    """
    size, _, height, width = pixels.shape
    drawn = torch.randint(len(OPERATIONS), (size,), generator=rng, device=rng.device)
    level = (0.1 + (severity - 0.1) * torch.rand(size, generator=rng, device=rng.device)) / 10
    signed = torch.where(torch.rand(size, generator=rng, device=rng.device) < 0.5, -level, level)

    histogram = value_tables.counted(pixels)
    table = torch.arange(256.0, device=pixels.device).expand(histogram.shape)
    tables = {
        "autocontrast": value_tables.autocontrast(histogram),
        "equalize": value_tables.equalize(histogram),
        "posterize": value_tables.posterize(4 - (level * 4).long()),
        "solarize": value_tables.solarize(256 - (level * 256).long()),
    }
    for name, new_values in tables.items():
        table = torch.where((drawn == OPERATIONS.index(name))[:, None, None], new_values, table)
    moved = affine(pixels, moves(drawn, signed, height, width))
    by_value = (drawn < len(tables))[:, None, None, None]  # these come first
    return torch.where(by_value, value_tables.looked_up(pixels, table), moved)


def moves(drawn: Tensor, signed: Tensor, height: int, width: int) -> Tensor:
    """Return the matrix (B, 2, 3) of each row that is moved, and the identity for the others.

    ``drawn`` (B,) int64 numbers ``OPERATIONS``. ``signed`` (B,) is the strength in [-1, 1]: of 30 degrees, a shear of
    0.3, or a third of the side; degrees and pixels are cut down to whole ones.
    """
    matrix = torch.eye(2, 3, device=drawn.device).repeat(len(drawn), 1, 1)
    is_drawn = {name: drawn == number for number, name in enumerate(OPERATIONS)}
    turned = rotation((signed * 30).trunc(), height, width).float()
    matrix = torch.where(is_drawn["rotate"][:, None, None], turned, matrix)
    for name, at, value in (
        ("shear_x", (0, 1), signed * 0.3),
        ("shear_y", (1, 0), signed * 0.3),
        ("translate_x", (0, 2), (signed * (width / 3)).trunc()),
        ("translate_y", (1, 2), (signed * (height / 3)).trunc()),
    ):
        matrix[:, at[0], at[1]] = torch.where(is_drawn[name], value, matrix[:, at[0], at[1]])
    return matrix
