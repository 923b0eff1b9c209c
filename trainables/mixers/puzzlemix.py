"""Puzzle Mix: each cell comes from the image that is salient there, and salient cells are moved into view.

J.-H. Kim, W. Choo and H. O. Song, "Puzzle Mix: Exploiting Saliency and Local Statistics for Optimal
Mixup", ICML 2020, arXiv:2009.06962.

Shape letters: B batch, C channels, H height, W width, M rows and N columns of a grid, L mask values.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainables.mixers.cells import assign, move_cells, spread_cells
from trainables.mixers.choice import choose
from trainables.mixers.grid_labelling import Energy, minimise
from trainables.mixers.mixed import Mixed, pair, partners
from trainables.mixers.mixed import beta as draw_lambda
from trainables.ranges import Count, NotNegative, Several

NEIGHBOURHOOD = 4  # pixels on either side of a border that its colour difference is averaged over


def puzzlemix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    lam_per_batch: bool = False,
    blocks: tuple[int, ...] = (2, 4, 8, 16),
    beta: NotNegative = 1.2,
    gamma: NotNegative = 0.5,
    eta: NotNegative = 0.2,
    num_labels: Several = 3,
    transport: bool = True,
    t_eps: NotNegative = 0.8,
    t_size: Count = 4,
    saliency: Tensor,
) -> Mixed:
    """Find the mask and the moves of cells that keep most saliency of both images.

    Args:
        alpha: draws lambda ~ Beta(alpha, alpha), one a row, to which the mask's prior leans.
        lam_per_batch: one lambda for the whole batch, as in the official code; each row has a mask of its own.
        blocks: cells along a side of the grid, drawn anew for every batch; one that exceeds the image's
            smaller side is left out.
        beta: weight of the smoothness of the mask.
        gamma: weight of the smoothness of the mixed image, in units of ``beta``; at most 1.
        eta: weight of the prior.
        num_labels: L, the mask takes the values 0, 1 / (L - 1), ..., 1.
        transport: whether cells are moved; if not, the two options that follow are not read.
        t_eps: cost of moving a cell, against the saliency it brings.
        t_size: side of the cells that are moved, in pixels; the grid's own cells if those are smaller. OpenMixup moves
            the grid's own in all but the smallest images, as ``t_size=224`` does: a photograph's cells of 4 pixels take
            hundreds of times as long, and 40 MB an image for each table of their costs.
        saliency: (B, H, W) not negative, any scale: the length of the loss' gradient at each pixel.

    The weights are the mean of the mask, counted in pixels. The official code cuts graphs on the processor, image by
    image; here both problems are solved for the whole batch on its device, nearly as well (see the tests). It leaves a
    black hole where a cell was moved away and none came; here cells are permuted, as the paper has it. The loss on
    clean images that it adds is ``clean_loss=2`` for Tiny-ImageNet, counted as in ``comixup``, and 1 in the first two
    of three phases on ImageNet; its adversarial noise is not included.
    """
    height, width = images.shape[2:]
    block = choose(fitting(blocks, height, width), rng)
    lam = draw_lambda(alpha, 1 if lam_per_batch else len(images), rng).expand(len(images))
    partner = partners(len(images), rng)

    energy = puzzle_energy(images, saliency, partner, lam, block, (beta, gamma, eta), num_labels)
    mask = minimise(energy).float() / (num_labels - 1)  # (B, M, N) share of the own image
    own, other = images, images[partner]
    if transport:
        grid = (block * max(1, height // (block * t_size)), block * max(1, width // (block * t_size)))
        mask = spread_cells(mask, *grid)
        salient = cell_saliency(saliency, grid)
        own = move_cells(own, arrange(mask, salient, t_eps), grid)
        other = move_cells(other, arrange(1 - mask, salient[partner], t_eps), grid)

    share = spread_cells(mask, height, width)  # (B, H, W)
    mixed = torch.lerp(other, own, share[:, None].to(images.dtype))
    return pair(mixed, partner, share.mean(dim=(1, 2)))


def fitting(blocks: Sequence[int], height: int, width: int) -> list[int]:
    """Return those of ``blocks`` that an image of this size has pixels for; raise ``ValueError`` if none is left."""
    if min(blocks, default=0) < 2:
        raise ValueError(f"blocks must hold whole numbers of at least 2, got {blocks}")
    side = min(height, width)
    if min(blocks) > side:
        raise ValueError(f"blocks must hold a number up to {side}, the side of the image in pixels, got {blocks}")
    return [n for n in blocks if n <= side]


def cell_saliency(saliency: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return each cell's share in the saliency (B, H, W) of its image, (B, M, N); equal shares if it has none."""
    cells = F.adaptive_avg_pool2d(saliency.float()[:, None], grid)[:, 0]
    total = cells.sum(dim=(1, 2), keepdim=True)
    return torch.where(total > 0, cells / total.clamp_min(torch.finfo(cells.dtype).tiny), 1 / cells[0].numel())


@torch.no_grad()
def puzzle_energy(
    images: Tensor,  # (B, C, H, W) in [0, 1]
    saliency: Tensor,  # (B, H, W)
    partner: Tensor,  # (B,) int64
    lam: Tensor,  # (B,) to which the prior leans
    block: int,  # M = N
    weights: tuple[float, float, float],
    num_labels: int,  # L
) -> Energy:
    """Return the cost of every mask, label l being the share l / (L - 1) of the own image."""
    beta, gamma, eta = weights
    beta = beta / (16 * block)
    own = cell_saliency(saliency, (block, block))
    lost_own, lost_other = own.clone(), own[partner]  # saliency lost where the mask is 0, and where it is 1

    # A border's difference depends on the images on its two sides. The part that is linear in the mask goes to the
    # cells; the rest is paid where the two sides differ.
    pairwise = []
    for axis in (1, 2):
        difference = {sides: beta * gamma * d for sides, d in border_differences(images, partner, block, axis).items()}
        before = (slice(None),) * axis + (slice(None, -1),)
        after = (slice(None),) * axis + (slice(1, None),)
        lost_other[before] += (difference["own", "other"] + difference["own", "own"]) / 2
        lost_other[after] += (difference["other", "own"] + difference["own", "own"]) / 2
        lost_own[before] += (difference["other", "own"] + difference["other", "other"]) / 2
        lost_own[after] += (difference["own", "other"] + difference["other", "other"]) / 2
        unlike = difference["own", "other"] + difference["other", "own"]
        alike = difference["own", "own"] + difference["other", "other"]
        pairwise.append(beta + (unlike - alike) / 2)

    share = torch.linspace(0, 1, num_labels, device=images.device)
    prior = eta / block**2 * surprise(lam, num_labels)[:, None, None]
    unary = share * lost_other[..., None] + (1 - share) * lost_own[..., None] + prior
    return Energy(unary, pairwise[0], pairwise[1], (share[:, None] - share).square())


def surprise(lam: Tensor, num_labels: int) -> Tensor:
    """Return minus the log of the binomial probability, (B, L), of l successes in L - 1 trials of chance ``lam``."""
    n = num_labels - 1
    successes = torch.arange(num_labels, device=lam.device)
    # The binomial coefficients are computed where they are needed, since copying them to a GPU would stall it.
    factorials = torch.lgamma(successes.double() + 1)
    ways = (math.lgamma(n + 1) - factorials - factorials.flip(0)).exp().round().float()
    chance = ways * lam[:, None] ** successes * (1 - lam[:, None]) ** (n - successes)
    return -(chance + 1e-8).log()


def border_differences(images: Tensor, partner: Tensor, block: int, axis: int) -> dict[tuple[str, str], Tensor]:
    """Return the mean absolute colour difference across each border, for every choice of the images on its two sides.

    With ``axis`` 1 the borders lie between rows, (B, M - 1, N), with 2 between columns, (B, M, N - 1). The keys name
    the image before the border and the one after it: "own" or "other".
    """
    strips = [max(1, side // (block * NEIGHBOURHOOD)) for side in images.shape[2:]]  # in a cell, along each side
    colours = F.adaptive_avg_pool2d(images.float(), (block * strips[0], block * strips[1]))
    every = strips[axis - 1]
    borders = torch.arange(1, block, device=images.device) * every
    before, after = colours.index_select(axis + 1, borders - 1), colours.index_select(axis + 1, borders)
    shape = (block - 1, block) if axis == 1 else (block, block - 1)

    first, second = ({"own": side, "other": side[partner]} for side in (before, after))
    return {
        (a, b): F.adaptive_avg_pool2d((first[a] - second[b]).abs().mean(dim=1), shape) for a in first for b in second
    }


def arrange(mask: Tensor, salient: Tensor, t_eps: float) -> Tensor:
    """Return which cell comes to each position, (B, MN) int64, so that salient ones are seen and none moves far.

    The share ``mask`` (B, M, N) of each position is seen; crossing the grid along one side costs a cell ``t_eps``.
    """
    sides = (torch.arange(side, device=mask.device) / (side - 1) for side in mask.shape[1:])
    at = torch.stack(torch.meshgrid(*sides, indexing="ij")).flatten(1)  # (2, MN)
    moved = (at[:, :, None] - at[:, None]).square().sum(dim=0)
    seen = (mask > 0).float().flatten(1)
    return assign(t_eps * moved - salient.flatten(1)[:, None, :] * seen[:, :, None])
