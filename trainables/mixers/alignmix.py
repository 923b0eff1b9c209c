"""AlignMixup: the feature maps of two images are aligned by optimal transport, then mixed.

S. Venkataramanan, E. Kijak, L. Amsaleg and Y. Avrithis, "AlignMixup: Improving Representations By
Interpolating Aligned Features", CVPR 2022, arXiv:2103.15375.

Shape letters: B batch, D features, H height and W width of the last map, R = HW its positions.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Generator, Tensor

from trainables.mixers.choice import choose
from trainables.mixers.manifoldmix import LAYERS, manifoldmix
from trainables.mixers.mixed import Mixed, beta, pair, partners
from trainables.mixers.mixup import mixup
from trainables.ranges import Iterations, Positive


def alignmix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 2.0,
    lam_per_batch: bool = False,
    alternate: Literal["manifoldmix", "mixup", "nothing"] = "manifoldmix",
    eps: Positive = 0.1,
    iterations: Iterations = 100,
    encode: Callable[[Tensor, int], Tensor],
    num_stages: int,
) -> Mixed:
    """Mix the last feature maps of two images after moving the vectors of one to where the other has similar ones.

    Args:
        alpha: draws lambda ~ Beta(alpha, alpha), one a row.
        lam_per_batch: one lambda for the whole batch, as in the official code, also where another mixer takes turns.
        alternate: the mixer of a random half of the batches instead, with the same ``alpha``: ``manifoldmix`` as in
            OpenMixup, ``mixup`` as in the official code. A network of fewer than four stages, the stem among them,
            cannot have the former (``ValueError``).
        eps: weight of the entropy in the transport.
        iterations: how many steps Sinkhorn's algorithm takes.
        encode: runs the images through the first stages of the network, with gradient.
        num_stages: the depth of the last map.

    The ``images`` of the result are feature maps, of the depth ``num_stages`` when aligned. The official code has one
    direction a batch; here each row has its own. It stops the iterations once a potential moves by less than 0.1 in the
    batch's mean, which with the distances of a trained network does not happen before its 100th; here they are always
    ``iterations``, with the last update on the map that is moved to. Note what the plan's marginals imply: aligning
    permutes and averages positions, so a head that averages the map sees plain mixing in so far as the transport has
    converged.
    """
    if alternate == "manifoldmix" and num_stages <= max(LAYERS) + 1:  # whether or not this batch is mixed by it
        raise ValueError(
            f"alternate must be 'mixup' or 'nothing' with a network of fewer than {max(LAYERS) + 2} stages, between "
            f"which Manifold Mixup mixes, got 'manifoldmix'"
        )
    if alternate != "nothing" and choose(("align", "alternate"), rng) == "alternate":
        if alternate == "mixup":
            return mixup(images, rng, alpha=alpha, per_batch=lam_per_batch)
        return manifoldmix(images, rng, alpha=alpha, per_batch=lam_per_batch, encode=encode, num_stages=num_stages)

    lam = beta(alpha, 1 if lam_per_batch else len(images), rng).expand(len(images))
    partner = partners(len(images), rng)
    own_is_moved = torch.rand(len(images), generator=rng, device=rng.device) < 0.5

    maps = encode(images, num_stages)
    own = maps.flatten(2)  # (B, D, R)
    other = own[partner]
    # What stays is the target: its position r receives the mean of the moved vectors, by the plan's row r.
    stays, moves = (torch.where(own_is_moved[:, None, None], *xy) for xy in ((other, own), (own, other)))
    plan = transport_plan(stays.detach(), moves.detach(), eps, iterations)  # (B, R, R)
    # Where a run computes in half precision, so does the product, also of maps that are not in it, as a transformer's.
    moved = (moves @ (plan.mT * plan.shape[1]).to(maps.dtype)).to(maps.dtype)
    share = torch.where(own_is_moved, 1 - lam, lam)[:, None, None].to(maps.dtype)  # the share of what stays
    mixed = torch.lerp(moved, stays, share).unflatten(2, maps.shape[2:])
    return pair(mixed, partner, lam)._replace(depth=num_stages)


def transport_plan(target: Tensor, moved: Tensor, eps: float, iterations: int) -> Tensor:
    """Return the entropic optimal transport between the positions of two maps (B, D, R), (B, R, R) float64 of sum 1.

    It is found by Sinkhorn's algorithm on logarithms. The rows, of ``target``, sum to 1 / R exactly, the columns in the
    limit. The cost is the squared Euclidean distance; float32 is too coarse for distances of thousands and an ``eps``,
    the weight of the entropy, of 0.1.
    """
    target, moved = target.double(), moved.double()
    squares = target.square().sum(dim=1)[:, :, None] + moved.square().sum(dim=1)[:, None, :]
    score = (2 * target.mT @ moved - squares) / eps  # minus the cost
    log_mass = -math.log(score.shape[1])
    for _ in range(iterations):  # scaling columns and rows in turn keeps the potentials inside the score
        score = score + (log_mass - score.logsumexp(dim=1, keepdim=True))
        score = score + (log_mass - score.logsumexp(dim=2, keepdim=True))
    return score.exp()
