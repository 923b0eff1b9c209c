"""GridMix: a regular grid of holes, or of cells, through which a second image is seen.

Two methods share the name. ``pattern="holes"`` is I. Dobrynin's GridMixup (2020), which OpenMixup's benchmark
calls GridMix. ``pattern="cells"`` is the mask of K. Baek, D. Bang and H. Shim, "GridMix: Strong regularization
through local context mapping", Pattern Recognition 109, 2021, without its loss on local labels.
"""

from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from trainables.mixers.mixed import Mixed, beta, blend, pair, partners
from trainables.ranges import Positive, Share


class Grids(NamedTuple):
    """A rectangle of square cells, each with a hole at its top left; (B,) or (1,) int64, in pixels."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    cell: Tensor  # side of a cell
    hole: Tensor  # side of a hole, 1..cell - 1


def uniform(count: int, low: float, high: float, rng: Generator) -> Tensor:
    """Return ``count`` numbers, float32, drawn from U(low, high)."""
    return low + (high - low) * torch.rand(count, generator=rng, device=rng.device)


def draw_grids(
    lam: Tensor,
    shape: tuple[int, int],
    rng: Generator,
    *,
    holes: tuple[int, int],
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> Grids:
    """Return a random grid for each lambda, (B,) or (1,), whose holes are about ``1 - lam`` of its area."""
    height, width = shape  # an image's sides
    count = len(lam)
    across = torch.randint(holes[0], holes[1] + 1, (count,), generator=rng, device=rng.device)
    pixels = (uniform(count, *area, rng) * (height * width)).floor()
    ratio = uniform(count, *aspect, rng)
    columns = (pixels / ratio).sqrt().floor()
    rows = (columns * ratio).long().clamp_(1, height)
    columns = columns.long().clamp_(1, width)
    top = ((height - rows) * torch.rand(count, generator=rng, device=rng.device)).long()
    left = ((width - columns) * torch.rand(count, generator=rng, device=rng.device)).long()
    across = torch.minimum(across, columns // 2).clamp_(min=1)  # a cell has at least 2 pixels a side
    cell = torch.div(columns + across - 1, across, rounding_mode="floor")  # rounded up
    hole = torch.minimum(((1 - lam).sqrt() * cell).long().clamp_(min=1), cell - 1)
    return Grids(top, left, rows, columns, cell, hole)


def holes_of(grids: Grids, shape: tuple[int, int]) -> Tensor:
    """Return (B or 1, 1, H, W) float32: 1 in the holes of each grid, 0 elsewhere."""

    def along(size: int, start: Tensor, extent: Tensor) -> Tensor:
        at = torch.arange(size, device=start.device) - start[:, None]
        in_grid = (at >= 0) & (at < extent[:, None])
        return (in_grid & (at.remainder(grids.cell[:, None]) < grids.hole[:, None])).float()

    rows, columns = along(shape[0], grids.top, grids.height), along(shape[1], grids.left, grids.width)
    return rows[:, None, :, None] * columns[:, None, None, :]


def draw_cells(lam: Tensor, shape: tuple[int, int], rng: Generator, *, holes: tuple[int, int]) -> Tensor:
    """Return (B or 1, 1, H, W) float32: n x n cells over the image, each 1 with probability ``1 - lam``, else 0.

    ``lam`` is (B,) or (1,), ``shape`` is H and W, and n is drawn from the range ``holes``.
    """
    (height, width), (fewest, most) = shape, holes
    across = torch.randint(fewest, most + 1, (len(lam), 1), generator=rng, device=rng.device)
    chosen = torch.rand((len(lam), most * most), generator=rng, device=rng.device) >= lam[:, None]
    row = torch.arange(height, device=rng.device) * across // height  # (B, H) cell of each pixel
    column = torch.arange(width, device=rng.device) * across // width
    cell = row[:, :, None] * most + column[:, None, :]
    return chosen.float().gather(1, cell.flatten(1)).view(-1, 1, height, width)


def gridmix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    pattern: Literal["holes", "cells"] = "holes",
    holes: tuple[int, int] = (2, 6),
    area: tuple[Share, Share] = (0.5, 1.0),
    aspect: tuple[Positive, Positive] = (0.5, 2.0),
    per_batch: bool = False,
) -> Mixed:
    """Show a partner through a regular pattern, at the same place, a different one per row.

    Args:
        alpha: draws lambda ~ Beta(alpha, alpha): a hole's side is ``sqrt(1 - lam)`` of its cell's, at least 1
            pixel and at least 1 pixel less than the cell; with ``cells``, a cell is kept with that probability.
        pattern: which of the two methods.
        holes: the fewest and the most holes (or cells) along the width, drawn uniformly.
        area: range of the grid's share of the image; only for ``holes``.
        aspect: range of the grid's height over its width; only for ``holes``.
        per_batch: one grid for the whole batch, as OpenMixup has it.

    The weights are counted in pixels. Outside a grid of holes lies the own image, so that lambda is above what was
    drawn. A drawn rectangle that is longer than the image is cut to it; OpenMixup then writes to negative indices.
    """
    if not 1 <= holes[0] <= holes[1]:
        raise ValueError(f"holes must be two ascending whole numbers above 0, got {holes}")
    size, _, height, width = images.shape
    lam = beta(alpha, 1 if per_batch else size, rng)
    if pattern == "holes":
        grids = draw_grids(lam, (height, width), rng, holes=holes, area=area, aspect=aspect)
        seen = holes_of(grids, (height, width))
    else:
        seen = draw_cells(lam, (height, width), rng, holes=holes)
    partner = partners(size, rng)
    return pair(blend(images, partner, 1 - seen), partner, 1 - seen.mean(dim=(1, 2, 3)))
