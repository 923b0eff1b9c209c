"""Manifold Mixup: mixup of the hidden states of a randomly chosen layer.

V. Verma, A. Lamb, C. Beckham, A. Najafi, I. Mitliagkas, D. Lopez-Paz and Y. Bengio, "Manifold Mixup:
Better Representations by Interpolating Hidden States", ICML 2019, arXiv:1806.05236.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from trainables.mixers.choice import choose
from trainables.mixers.mixed import Mixed, beta, pair, partners

LAYERS = (0, 1, 2)  # as in the paper


def manifoldmix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 2.0,
    layers: tuple[int, ...] = LAYERS,
    per_batch: bool = False,
    encode: Callable[[Tensor, int], Tensor],
    num_stages: int,
) -> Mixed:
    """Mix the batch at one of ``layers``, drawn anew for every batch, with a lambda for each row.

    Args:
        layers: the eligible layers S of the paper. 0 is the image, k the output of the k-th residual stage.
        per_batch: one lambda for the whole batch, as the official code has it.
        encode: runs the images through the first stages of the network; stage 0 is the stem.
        num_stages: the number of stages of the network, with the stem.

    The ``images`` of the result are feature maps if its ``depth`` is above 0. A network without one of the layers is
    refused by ``ValueError``.
    """
    if not layers or min(layers) < 0 or max(layers) >= num_stages:
        raise ValueError(f"layers must lie in 0..{num_stages - 1}, the residual stages of the network, got {layers}")
    layer = choose(layers, rng)
    lam = beta(alpha, 1 if per_batch else len(images), rng)
    partner = partners(len(images), rng)
    depth = 0 if layer == 0 else layer + 1  # the stem comes before the first residual stage
    maps = encode(images, depth)
    mixed = torch.lerp(maps[partner], maps, lam[:, None, None, None].to(maps.dtype))
    return pair(mixed, partner, lam)._replace(depth=depth)
