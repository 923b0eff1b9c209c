"""Co-Mixup: a group of images is mixed into as many, jointly, so that all are salient and no two are alike.

J.-H. Kim, W. Choo, H. Jeong and H. O. Song, "Co-Mixup: Saliency Guided Joint Mixup with Supermodular
Diversity", ICLR 2021, arXiv:2102.03065.

Shape letters: B batch, G groups, I inputs and O = I outputs of a group, M rows and N columns of the grid,
L labels: the inputs, and three mixtures of two of them.
"""

import torch
from torch import Generator, Tensor

from trainables.mixers.cells import assign, spread_cells
from trainables.mixers.grid_labelling import Energy, settle
from trainables.mixers.mixed import Mixed, dirichlet, one_hot, side_by_side
from trainables.mixers.puzzlemix import cell_saliency
from trainables.ranges import Count, Iterations, NotNegative, Share

SOFT_BONUS = 5e-4  # what the official code takes off a cell of two images
PAIRS = ((0, 1), (0, 2), (1, 2))  # among the three inputs that an output shows most


def comixup(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 2.0,
    block: Count = 4,
    group: Count = 20,
    beta: NotNegative = 0.32,
    gamma: NotNegative = 1.0,
    threshold: Share = 0.83,
    eta: NotNegative = 0.05,
    omega: NotNegative = 0.001,
    iterations: Iterations = 4,
    saliency: Tensor,
) -> Mixed:
    """Mix each group of rows by a labelling of its cells, found output by output.

    Args:
        alpha: draws the prior of the inputs of a group from Dirichlet(alpha, ...).
        block: cells along a side; fewer where the image is smaller.
        group: images that are mixed among themselves; the last group has the rest.
        beta: weight of the smoothness of a mask.
        gamma: weight of the diversity of the outputs.
        threshold: tau, how much the other outputs may show of an input, in images, before it costs.
        eta: weight of the prior.
        omega: weight, in the likeness of inputs, of the distance of their salient places; the rest is the identity's.
        iterations: rounds over the outputs of a group.
        saliency: (B, H, W) not negative, any scale: the length of the loss' gradient at each pixel.

    The ``Mixed`` has K = ``group``, or B if that is less: every row of the group, by the pixels that it has in the
    output; most weights are 0. A row's own weight may be 0 too, though outputs are handed to the rows so that it is as
    large as it can be.

    The official code cuts graphs for one output of one group at a time on the processor; here all groups go together,
    and each output is found by iterated conditional modes. Between cells the paper's penalty is used, half the squared
    distance of their shares, where the code has 1 for every pair but the closest. Past the threshold an input costs by
    all that the others show, by its likeness; in the code, by its order of operations, only by the inputs that are past
    it, which differs by the order of ``omega``.

    The official recipe adds the loss on the images before mixing: here ``clean_loss=2`` (the code weighs it by 2 / L,
    next to a binary cross-entropy that is a mean over L classes, and steeper than the cross-entropy, up to twice, where
    the network is sure; its code for ImageNet, whose loss is the cross-entropy, has 1). Its gradient, in training mode,
    is the code's saliency; here the saliency is that of the evaluation mode.
    """
    size, _, height, width = images.shape
    count = min(group, size)
    whole = size - size % count
    cells = min(block, height, width)
    constants = beta, gamma, threshold, eta, omega
    mixed = []
    # All full groups, then a smaller last one.
    for part, salient in zip(images.split(whole), saliency.detach().split(whole), strict=True):
        inputs = min(count, len(part))
        groups = salient.unflatten(0, (-1, inputs))
        prior = dirichlet(alpha, (len(groups), inputs), rng)
        of_cells = _label(groups, prior, cells, constants, iterations, rng)  # (G, O, M, N, I)
        out, share = _mix(part.unflatten(0, (-1, inputs)), of_cells)
        at = torch.arange(inputs, device=images.device)
        own_first = (at[:, None] + torch.arange(count, device=images.device)) % inputs  # (O, K)
        share = share.gather(2, own_first.expand(len(share), -1, -1))
        share[:, :, inputs:] = 0  # a smaller group's sources are named again, without weight
        sources = torch.arange(0, len(part), inputs, device=images.device)[:, None, None] + own_first
        weights = share / share.sum(dim=2, keepdim=True)
        mixed.append(Mixed(out.flatten(0, 1), sources.flatten(0, 1), weights.flatten(0, 1)))
    return side_by_side(mixed)


def _mix(images: Tensor, of_cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return the outputs (G, O, C, H, W), and the share of each input in each, in pixels, (G, O, I).

    The ``images`` are (G, I, C, H, W); the rows of ``of_cells``, (G, O, M, N, I), sum to 1.
    """
    height, width = images.shape[3:]
    mixed = torch.zeros_like(images)
    shares = []
    for source in range(images.shape[1]):
        share = spread_cells(of_cells[..., source].flatten(0, 1), height, width).unflatten(0, of_cells.shape[:2])
        mixed = mixed + share[:, :, None].to(images.dtype) * images[:, None, source]
        shares.append(share.mean(dim=(2, 3)))
    return mixed, torch.stack(shares, dim=2)


@torch.no_grad()
def _label(
    saliency: Tensor,  # (G, I, H, W)
    prior: Tensor,  # (G, I)
    cells: int,  # M = N
    constants: tuple[float, ...],  # beta, gamma, threshold, eta and omega, as in ``comixup``
    iterations: int,
    rng: Generator,
) -> Tensor:
    """Return the share of every input in every cell of every output, (G, O, M, N, I)."""
    beta, gamma, threshold, eta, omega = constants
    groups, inputs = prior.shape
    area = cells * cells
    salient = cell_saliency(saliency.flatten(0, 1), (cells, cells)).unflatten(0, (groups, inputs))
    cost = -salient.movedim(1, 3) - eta / area * (prior + 1e-8).log()[:, None, None]  # (G, M, N, I)
    likeness = _likeness(saliency, omega)
    drawn = torch.randint(inputs, (groups, inputs, cells, cells), generator=rng, device=rng.device)
    shown = one_hot(drawn, inputs).float()  # (G, O, M, N, I)

    apart = torch.zeros(groups, inputs, inputs, device=shown.device)  # cost of input I in output O
    for iteration in range(iterations):
        for output in range(inputs):
            used = shown.sum(dim=(2, 3))  # (G, O, I) cells
            elsewhere = (likeness * (used.sum(dim=1) - used[:, output])[:, None]).sum(dim=2)  # (G, I)
            penalty = 2 * gamma / area * elsewhere * (elsewhere > threshold * area) + gamma / area * apart[:, output]
            unary = cost + penalty[:, None, None]
            shown[:, output] = _label_output(unary, used[:, output], beta / area, soft=iteration > 0)
        if iteration == iterations - 2:
            apart = _tell_twins_apart(shown.sum(dim=(2, 3)) > 0)
    # Any output may go to any row: each row gets one that shows much of it.
    given = assign(-shown.sum(dim=(2, 3)).mT)  # (G, row) output
    return shown.gather(1, given[:, :, None, None, None].expand_as(shown))


def _label_output(unary: Tensor, used: Tensor, beta: float, *, soft: bool) -> Tensor:
    """Return one output's shares, (G, M, N, I), by the cost of each input in each cell, ``unary`` (G, M, N, I).

    The output now has ``used`` (G, I) cells of each input, two neighbours of different inputs cost ``beta``, and with
    ``soft`` a cell may show two of the output's inputs, half and half.
    """
    groups, inputs = used.shape
    shares = torch.eye(inputs, device=used.device).expand(groups, -1, -1)
    if soft and inputs > 1:
        most, which = used.topk(min(3, inputs), dim=1)
        pairs = [pair for pair in PAIRS if max(pair) < inputs]
        one = one_hot(which, inputs).float()
        both = torch.stack([(one[:, i] + one[:, j]) / 2 for i, j in pairs], dim=1)  # (G, 3, I)
        mean = (unary[..., None, :] * both[:, None, None]).sum(dim=-1) - SOFT_BONUS
        allowed = torch.stack([most[:, j] > 0 for _, j in pairs], dim=1)  # the less frequent of the two is shown at all
        unary = torch.cat((unary, mean.masked_fill(~allowed[:, None, None], torch.inf)), dim=3)
        shares = torch.cat((shares, both), dim=1)  # (G, L, I)
    squared = (shares[:, :, None] - shares[:, None]).square().sum(dim=3)
    edge = torch.full((), beta, device=used.device)
    rows, columns = unary.shape[1:3]
    energy = Energy(
        unary,
        edge.expand(groups, rows - 1, columns),
        edge.expand(groups, rows, columns - 1),
        squared[:, None, None] / 2,
    )
    labels = settle(energy, unary.argmin(dim=-1))
    return shares.gather(1, labels.flatten(1)[..., None].expand(-1, -1, inputs)).unflatten(1, (rows, columns))


def _likeness(saliency: Tensor, omega: float) -> Tensor:
    """Return the paper's compatibility A (G, I, I): the identity and, with weight ``omega``, the inputs' distances.

    The position of an input is that of the most salient window of a quarter side, by its saliency (G, I, H, W); in the
    official code, of 8 pixels in images of any size.
    """
    groups, inputs, height, width = saliency.shape
    window = max(1, height // 4), max(1, width // 4)
    smooth = torch.nn.functional.avg_pool2d(saliency.float().flatten(0, 1)[:, None], window, stride=1)[:, 0]
    at = smooth.flatten(1).argmax(dim=1).view(groups, inputs)
    row, column = at // smooth.shape[2], at % smooth.shape[2]
    distance = (row[:, :, None] - row[:, None]).abs() + (column[:, :, None] - column[:, None]).abs()
    distance = distance * inputs / distance.sum(dim=(1, 2), keepdim=True).clamp_min(1)
    return (1 - omega) * torch.eye(inputs, device=saliency.device) + omega * distance


def _tell_twins_apart(shows: Tensor) -> Tensor:
    """Return (G, O, I): 1 where an output should give up an input, since another ``shows`` (G, O, I) the very same."""
    same = (shows[:, :, None] == shows[:, None]).all(dim=3) & (shows.sum(dim=2) > 1)[:, :, None]
    order = torch.arange(shows.shape[1], device=shows.device)
    later, earlier = (same & (order[:, None] < order)).any(dim=2), (same & (order[:, None] > order)).any(dim=2)
    rank = shows.cumsum(dim=2) * shows  # 1 for the first input shown, 2 for the second
    return ((rank == 1) & later[..., None] | (rank == 2) & earlier[..., None]).float()
