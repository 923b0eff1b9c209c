"""Images cut into a grid of cells, each of which has a value or moves to another position, at nearly the least cost.

Any image size will do: pixel y of H lies in cell floor(y M / H), so sides differ by at most one pixel.

Shape letters: B batch, C channels, H height, W width, M rows and N columns of the grid, P = MN cells of an image.
"""

import torch
from torch import Tensor

ROUNDS = 6  # with the costs of PuzzleMix nothing is left to gain after about 5
WORTHWHILE = 1e-7  # a gain below this may be no more than rounding


def cell_of_pixel(side: int, cells: int, device: torch.device) -> Tensor:
    """Return the cell of each pixel along one side, (side,) int64."""
    return torch.arange(side, device=device) * cells // side


def spread_cells(values: Tensor, height: int, width: int) -> Tensor:
    """Return the value of each pixel's cell, (B, H, W), from values (B, M, N); of several in one pixel, the first."""
    rows = cell_of_pixel(height, values.shape[1], values.device)
    columns = cell_of_pixel(width, values.shape[2], values.device)
    return values[:, rows][:, :, columns]


def greatest_cells(values: Tensor, count: Tensor) -> Tensor:
    """Return (B, M, N) bool: True in the ``count`` (B,) cells of the greatest values; the first of equal ones."""
    rank = values.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)  # 0 for the greatest
    return (rank < count[:, None]).view(values.shape)


def move_cells(images: Tensor, cells: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return images (B, C, H, W) with the cell of this number, ``cells`` (B, MN) int64, at each position of an image.

    ``grid`` is M and N. Where a cell is a pixel smaller than its position, its last row or column is repeated.
    """
    height, width = images.shape[2:]
    taken = spread_cells(cells.unflatten(1, grid), height, width)  # (B, H, W)
    rows = _source_pixel(taken // grid[1], height, grid[0])
    columns = _source_pixel((taken % grid[1]).mT, width, grid[1]).mT
    at = (rows * width + columns).flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, at).view(images.shape)


def _source_pixel(taken: Tensor, side: int, cells: int) -> Tensor:
    """Return where along the side each pixel comes from, (B, side, ...) int64, given the cell it comes from."""
    starts = (torch.arange(cells + 1, device=taken.device) * side + cells - 1) // cells
    pixel = torch.arange(side, device=taken.device)
    offset = (pixel - starts[cell_of_pixel(side, cells, taken.device)])[:, None]
    return (starts[taken] + offset).minimum(starts[taken + 1] - 1)


def assign(cost: Tensor) -> Tensor:
    """Return the cell that comes to each place, (B, P) int64, by the cost (B, P, P) of putting at place p the cell q.

    Every cell starts at its own place. In each round every place names the place that it would gain most from swapping
    with, and those that name each other swap. So the cost falls with every round, and never exceeds that of moving
    nothing. The official code lets cells choose places greedily, which may leave a place empty.
    """
    place = torch.arange(cost.shape[1], device=cost.device)
    cells = place.expand(cost.shape[:2])
    swapped = cost  # (B, P, P) place p with the cell now at place q
    for turn in range(ROUNDS):
        if turn:
            swapped = cost.gather(2, cells[:, None].expand_as(cost))
        now = swapped.diagonal(dim1=1, dim2=2).contiguous()  # it is read for every place, slowly if spread out
        gain, other = (now[:, None] - swapped).sub_(swapped.mT).max(dim=2)
        agreed = (other.gather(1, other) == place) & (gain + now > WORTHWHILE)
        cells = torch.where(agreed, cells.gather(1, other), cells)
    return cells
