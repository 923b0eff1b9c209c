"""Puzzle Mix: its energy by loops, its mask, and that salient cells come into view."""

import importlib
import math

import pytest
import torch
from torch import Tensor

from tests.trainables.seeded import seeded
from trainables.mixers.mixed import Mixed
from trainables.mixers.puzzlemix import (
    arrange,
    border_differences,
    cell_saliency,
    fitting,
    puzzle_energy,
    puzzlemix,
    surprise,
)

module = importlib.import_module("trainables.mixers.puzzlemix")  # the package's attribute is the function

B = 6


def pixels(height: int = 16, width: int = 12) -> Tensor:
    return torch.rand(B, 3, height, width, generator=seeded(5))


def salient(height: int = 16, width: int = 12) -> Tensor:
    return torch.randn(B, height, width, generator=seeded(6)).abs() ** 4


def mix(seed: int = 0, images: Tensor | None = None, saliency: Tensor | None = None, **options: object) -> Mixed:
    saliency = salient() if saliency is None else saliency
    return puzzlemix(pixels() if images is None else images, seeded(seed), saliency=saliency, **options)


def test_the_energy_is_that_of_the_paper_by_loops():
    """Every cell is a pixel of a 2 x 2 image, so that each border has one colour on either side; up to a constant."""
    images, saliency = pixels(2, 2), salient(2, 2)
    partner, lam = torch.arange(B).roll(1), torch.rand(B, generator=seeded(7))
    beta, gamma, eta = 1.2, 0.5, 0.2
    energy = puzzle_energy(images, saliency, partner, lam, 2, (beta, gamma, eta), 2)
    for row in range(B):
        pair = images[partner[row]], images[row]  # label 0 shows the other image, label 1 the own one
        share = saliency[partner[row]] / saliency[partner[row]].sum(), saliency[row] / saliency[row].sum()
        excess = []
        for number in range(16):
            z = torch.tensor([int(bit) for bit in f"{number:04b}"]).view(2, 2)
            wanted = 0.0
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                label = int(z[i, j])
                wanted += share[1 - label][i, j].item()  # the saliency that is not shown
                wanted -= eta / 4 * math.log((lam[row] if label else 1 - lam[row]).item() + 1e-8)
                for y, x in ((i + 1, j), (i, j + 1)):
                    if y < 2 and x < 2:
                        colours = pair[label][:, i, j] - pair[int(z[y, x])][:, y, x]
                        wanted += beta / 32 * ((label != z[y, x]).item() + gamma * colours.abs().mean().item())
            excess.append(energy.of(z.expand(B, 2, 2))[row].item() - wanted)
        assert max(excess) - min(excess) < 1e-5


@pytest.mark.parametrize("block", [2, 4, 8])
def test_a_border_is_compared_by_squares_of_4_pixels_on_its_two_sides_or_of_the_cells_if_those_are_smaller(block):
    images, partner = pixels(16, 16), torch.arange(B).roll(1)
    rows, columns = (border_differences(images, partner, block, axis) for axis in (1, 2))
    size = 16 // block  # the side of a cell in pixels
    side = min(size, 4)
    before, after = slice(size - side, size), slice(size, size + side)  # the first border
    for b in range(B):
        pair = {"own": images[b], "other": images[partner[b]]}
        for first, second in (("own", "own"), ("own", "other"), ("other", "own"), ("other", "other")):
            for cell in (0, block - 1):
                wanted = [0.0, 0.0]
                for at in range(size * cell, size * (cell + 1), side):
                    above, below = pair[first][:, before, at : at + side], pair[second][:, after, at : at + side]
                    left, right = pair[first][:, at : at + side, before], pair[second][:, at : at + side, after]
                    for number, (one, two) in enumerate(((above, below), (left, right))):
                        difference = (one.mean(dim=(1, 2)) - two.mean(dim=(1, 2))).abs().mean().item()
                        wanted[number] += difference * side / size
                assert rows[first, second][b, 0, cell].item() == pytest.approx(wanted[0], abs=1e-6)
                assert columns[first, second][b, cell, 0].item() == pytest.approx(wanted[1], abs=1e-6)


def test_the_prior_is_minus_the_logarithm_of_the_binomial():
    for lam, chances in ((0.3, (0.7**2, 2 * 0.3 * 0.7, 0.3**2)), (0.0, (1, 0)), (1.0, (0, 1))):
        wanted = [-math.log(p + 1e-8) for p in chances]  # finite for what has no chance
        torch.testing.assert_close(surprise(torch.tensor([lam]), len(chances)), torch.tensor([wanted]))


def test_the_prior_of_a_whole_mask_is_the_same_in_every_grid():
    lam = torch.rand(B, generator=seeded(7))
    for block in (2, 4):
        energy = puzzle_energy(pixels(), torch.ones(B, 16, 12), torch.arange(B), lam, block, (0.0, 0.0, 0.2), 2)
        wanted = 1 - 0.2 * torch.stack((1 - lam, lam), dim=1).log()  # all of one image is lost
        torch.testing.assert_close(energy.unary.sum(dim=(1, 2)), wanted, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("labels", "seed"), [(2, 0), (3, 1)])
def test_without_transport_every_pixel_is_mixed_in_place(labels, seed):
    mixed = mix(seed, transport=False, num_labels=labels, beta=0.1)
    images = pixels()
    for row in range(B):
        own, other = images[mixed.sources[row]]
        if mixed.sources[row, 1] == row:
            continue
        shares = (mixed.images[row] - other) / (own - other)
        assert shares.std(dim=0).max() < 1e-2  # one share for the channels of a pixel
        share = shares.median(dim=0).values
        steps = share * (labels - 1)
        torch.testing.assert_close(steps, steps.round(), atol=1e-2, rtol=0)
        assert mixed.weights[row, 0].item() == pytest.approx(share.mean().item(), abs=1e-3)
    assert mixed.weights[:, 0].unique().numel() > 2  # lambda is each row's own


def test_transport_brings_a_hidden_salient_cell_into_view():
    mask = torch.zeros(1, 4, 4)
    mask[:, :, :2] = 1.0
    saliency = torch.full((1, 4, 4), 0.01)
    saliency[0, 1, 2] = 0.8  # just out of view
    cells = arrange(mask, saliency, t_eps=0.8)[0].view(4, 4)
    assert cells[1, 1] == 6
    assert (cells.flatten().sort().values == torch.arange(16)).all()
    assert torch.equal(arrange(mask, saliency, t_eps=100.0)[0], torch.arange(16))


@pytest.mark.parametrize("grid", [(4, 4), (2, 2), (4, 2)])
@pytest.mark.parametrize("far", [(-1, 0), (0, -1)], ids=["down", "across"])
@pytest.mark.parametrize(("t_eps", "moves"), [(0.44, True), (0.46, False)])
def test_crossing_the_grid_along_one_side_costs_t_eps(grid, far, t_eps, moves):
    """Two cells cross it, for a saliency of 0.9 that comes into view: twice 0.44 is less, and twice 0.46 more."""
    mask, saliency = torch.zeros(1, *grid), torch.zeros(1, *grid)
    mask[0, 0, 0] = 1.0
    saliency[0][far] = 0.9
    cells = arrange(mask, saliency, t_eps)[0]
    assert cells[0] == (saliency.flatten().argmax() if moves else 0)


@pytest.mark.parametrize(
    ("block", "t_size", "grid"),
    [(2, 1, (16, 12)), (2, 2, (8, 6)), (2, 4, (4, 2)), (8, 4, (8, 8)), (2, 224, (2, 2)), (4, 2, (8, 4))],
)
def test_the_cells_that_are_moved_are_of_t_size_pixels_or_the_grid_s_own(block, t_size, grid, monkeypatch):
    grids = []

    def stay(images, cells, grid):
        grids.append(grid)
        return images

    monkeypatch.setattr(module, "move_cells", stay)
    mix(blocks=(block,), t_size=t_size)
    assert grids == [grid, grid]


def test_transport_shows_more_of_both_images_by_the_same_mask():
    """One image is red and one green, as bright as they are salient, so that each channel tells what is shown of it."""
    saliency = salient()[:2] / salient()[:2].amax()
    images = torch.zeros(2, 3, 16, 12)
    images[0, 0], images[1, 1] = saliency
    seeds = [seed for seed in range(8) if mix(seed, images, saliency).sources[0, 1] == 1]
    assert len(seeds) > 1
    options = {"blocks": (4,), "beta": 0.1, "t_size": 1, "t_eps": 0.0}
    for seed in seeds:
        still, moved = (mix(seed, images, saliency, transport=transport, **options) for transport in (False, True))
        torch.testing.assert_close(moved.weights, still.weights)
        more = moved.images.sum(dim=(2, 3)) - still.images.sum(dim=(2, 3))
        assert (more[:, :2] > 0.05).all()


def test_a_blank_saliency_gives_no_nan():
    torch.testing.assert_close(cell_saliency(torch.zeros(B, 16, 12), (4, 3)), torch.full((B, 4, 3), 1 / 12))
    mixed = mix(0, saliency=torch.zeros(B, 16, 12))
    assert all(found.isfinite().all() for found in mixed[:3])


def test_a_grid_finer_than_the_image_is_left_out_and_refused_alone_as_one_without_cells_is():
    assert fitting((2, 12, 13), 16, 12) == fitting((2, 12, 13), 12, 16) == [2, 12]
    with pytest.raises(ValueError, match=r"^blocks must hold a number up to 12, the side of the image in pixels, got"):
        mix(blocks=(13, 16))
    for blocks in ((), (4, 1)):
        with pytest.raises(ValueError, match="blocks must hold whole numbers of at least 2"):
            mix(blocks=blocks)
