"""AutoMix: a small network learns the mask, so that a slow copy of the classifier recognises both images.

Liu, Li, Wu, Liu, Chen, Wu, Li, "AutoMix: Unveiling the Power of Mixup for Stronger Classifiers", ECCV 2022
(arXiv:2103.13027). The network that makes the masks is in ``losses/mix_block.py``, what trains it in
``methods/mask_learning.py``.

Shape letters: B batch, C channels, H height, W width.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainables.mixers.mixed import Mixed, beta, distinct_sources, pair, partners
from trainables.ranges import NotNegative, Share

ValueOf = Literal["key", "query"]
MaskDecay = Literal["none", "cosine", "linear"]
MeanOf = Literal["row", "batch"]


def automix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 2.0,
    per_batch: bool = False,
    derangement: bool = False,
    lam_margin: Share = 0.08,
    masks: Literal["attention", "grids"] = "attention",
    lam_channel: bool = False,
    value_of: ValueOf = "key",
    mask_weight: NotNegative = 0.1,
    mask_decay: MaskDecay = "none",
    mask_loss: MeanOf = "row",
    epsilon: NotNegative = 0.1,
    generate: Callable[[Tensor, Tensor], Tensor],
) -> Mixed:
    """Mix each image with another by a learned mask, or evenly where lambda is near 0 or 1.

    Args:
        per_batch: one lambda for all rows, as in OpenMixup, instead of one a row.
        derangement: mix no row with itself, as OpenMixup does for CUB and Aircraft, whose batches are small.
        lam_margin: where lambda is this near to 0 or to 1, the mask is constant, as in OpenMixup; 0 in the paper.
        masks: made by the Mix Block's attention; or ``grids``, which give the partner as many cells of the map as
            lambda says, chosen at random, the first row of Table 7. Grids need neither the block and its optimiser nor
            the options below, which only the logged loss shows.
        lam_channel: the map gets lambda as one more channel, z_lambda of Eq. 4. OpenMixup does so for 224 pixels, not
            for CIFAR, where its mask does not depend on lambda. This option and those that follow are read, like those
            of ``MaskBlock``, by ``methods/mask_learning.py``.
        value_of: the value of a mask is that of the query, z_i, as in Eq. 5, or of the key, z_j, as in OpenMixup.
        mask_weight: gamma of Eq. 7, weight of the loss that keeps a mask's mean near lambda.
        mask_decay: how gamma goes to 0 over the training: in OpenMixup not at all for CIFAR, else by a cosine; in the
            paper linearly.
        mask_loss: taken from each row's own mask, as in Eq. 7, or from the mean over the batch, as in OpenMixup.
        epsilon: how far a mask's mean may be from lambda before that costs, Eq. 7.
        generate: from partners (B,) int64 and lambda (B,) to the partner's share (B, 1, H, W) of every pixel.

    The label is the drawn lambda, not the mask's mean, as in the paper and OpenMixup.
    """
    partner, lam = draw(len(images), alpha, per_batch, rng, derangement)
    return mix_by(images, partner, lam, even_near_the_ends(generate(partner, lam), lam, lam_margin))


def draw(size: int, alpha: float, per_batch: bool, rng: Generator, derangement: bool = False) -> tuple[Tensor, Tensor]:
    """Return the partner of each row, (B,) int64, and its lambda, (B,).

    With ``derangement`` a row is its own partner only if it is alone.
    """
    partner = distinct_sources(size, 2, rng)[:, 1] if derangement else partners(size, rng)
    return partner, beta(alpha, 1 if per_batch else size, rng).expand(size)


def even_near_the_ends(mask: Tensor, lam: Tensor, margin: float) -> Tensor:
    """Return ``mask`` (B, 1, H, W), but ``1 - lam`` everywhere in rows whose lambda (B,) is near 0 or 1."""
    extreme = ((lam <= margin) | (1 - lam <= margin)).view(-1, 1, 1, 1)
    return torch.where(extreme, (1 - lam).view(-1, 1, 1, 1), mask)


def mix_by(images: Tensor, partner: Tensor, lam: Tensor, mask: Tensor) -> Mixed:
    """Mix images (B, C, H, W) with the share ``mask`` (B, 1, H, W) of their partners; the mask gets a gradient."""
    return pair(torch.lerp(images, images[partner], mask.to(images.dtype)), partner, lam)


def random_grids(lam: Tensor, cells: tuple[int, int], size: tuple[int, int], rng: Generator) -> Tensor:
    """Return masks (B, 1, H, W) of whole cells of a map, chosen at random: 1 where a pixel is the partner's.

    The partner gets ``(1 - lam) * h * w`` of the (h, w) ``cells``, to the nearest whole number, with lambda (B,).
    """
    count = cells[0] * cells[1]
    order = torch.rand(len(lam), count, generator=rng, device=lam.device).argsort(dim=1).argsort(dim=1)  # (B, hw)
    chosen = order < ((1 - lam) * count).round()[:, None]
    return F.interpolate(chosen.to(lam.dtype).view(-1, 1, *cells), size=size, mode="nearest")
