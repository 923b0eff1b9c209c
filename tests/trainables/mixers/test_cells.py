"""Cells are permuted, at nearly the least cost of any permutation."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from trainables.mixers.cells import assign, move_cells, spread_cells


def puzzle_cost(side: int, t_eps: float, peakedness: int) -> Tensor:
    """Return the costs of PuzzleMix on a grid: saliency with heavy tails, and a mask of blobs."""
    rng = torch.Generator().manual_seed(side)
    salient = torch.randn(8, side, side, generator=rng).abs() ** peakedness
    salient = salient / salient.sum(dim=(1, 2), keepdim=True)
    coarse = torch.randn(8, 1, 4, 4, generator=rng)
    seen = (torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear") > 0).float()
    at = torch.cartesian_prod(torch.arange(side), torch.arange(side)) / (side - 1)
    return t_eps * torch.cdist(at, at).square() - salient.flatten(1)[:, None] * seen.flatten(1)[:, :, None]


@pytest.mark.parametrize(("t_eps", "peakedness"), [(0.8, 2), (0.8, 6), (0.1, 4)])
@pytest.mark.parametrize("side", [2, 4, 8, 16])
def test_against_the_optimal_assignment(side, t_eps, peakedness):
    cost = puzzle_cost(side, t_eps, peakedness)
    cells = assign(cost)
    assert (cells.sort(dim=1).values == torch.arange(side**2)).all()
    found = cost.gather(2, cells[..., None]).sum(dim=(1, 2))
    least = torch.stack([c[linear_sum_assignment(c)].sum() for c in cost])
    unmoved = cost.diagonal(dim1=1, dim2=2).sum(dim=1)
    gap, still = (((cost - least).sum() / least.abs().sum()).item() for cost in (found, unmoved))
    assert (found <= unmoved + 1e-6).all()
    assert gap < 0.03
    assert gap <= still / 8


def test_a_swap_that_pays_is_made():
    cost = torch.tensor([[[0.0, -9.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    assert assign(cost).tolist() == [[1, 0, 2]]


@pytest.mark.parametrize(("height", "width", "grid"), [(16, 12, (4, 2)), (15, 13, (4, 4)), (7, 5, (2, 3))])
def test_cells_of_any_size_stay_where_they_are_or_move_whole(height, width, grid):
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    places = torch.arange(grid[0] * grid[1]).expand(2, -1)
    assert torch.equal(move_cells(images, places, grid), images)
    number = spread_cells(places.unflatten(1, grid), height, width)[:, None]  # each pixel shows its cell
    order = torch.stack([torch.randperm(len(places[0]), generator=torch.Generator().manual_seed(s)) for s in (1, 2)])
    moved = move_cells(number.float(), order, grid)[:, 0]
    assert torch.equal(moved.long(), spread_cells(order.unflatten(1, grid), height, width))


def test_a_moved_cell_keeps_its_pixels_in_order():
    images = torch.arange(2 * 16 * 12.0).view(2, 1, 16, 12)
    order = torch.arange(8).repeat(2, 1)
    order[1, [0, 5]] = order[1, [5, 0]]
    moved = move_cells(images, order, (4, 2))  # cells of 4 x 6 pixels; cell 5 is in row 2, column 1
    wanted = images.clone()
    wanted[1, 0, 0:4, 0:6], wanted[1, 0, 8:12, 6:12] = images[1, 0, 8:12, 6:12], images[1, 0, 0:4, 0:6]
    assert torch.equal(moved, wanted)


def test_values_spread_to_the_cells_pixels():
    values = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert spread_cells(values, 3, 5).tolist() == [[[1, 1, 1, 2, 2], [1, 1, 1, 2, 2], [3, 3, 3, 4, 4]]]
