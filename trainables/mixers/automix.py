"""AutoMix: a small network learns the mask, so that a slow copy of the classifier recognises both images.

Liu, Li, Wu, Liu, Chen, Wu, Li, "AutoMix: Unveiling the Power of Mixup for Stronger Classifiers", ECCV 2022
(arXiv:2103.13027). The network that makes the masks is in ``losses/mix_block.py``, what trains it in
``methods/mask_learning.py``.

Shape letters: B batch, C channels, H height, W width.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Generator, Tensor

from trainables.mixers.mixed import Mixed, beta, pair, partners


def automix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 2.0,
    per_batch: bool = False,
    lam_margin: float = 0.08,
    layer: int = 3,
    lam_channel: bool = False,
    mask_weight: float = 0.1,
    mask_decay: Literal["none", "cosine", "linear"] = "none",
    mask_loss: Literal["row", "batch"] = "row",
    first_momentum: float = 0.999,
    last_momentum: float = 0.999999,
    generate: Callable[[Tensor, Tensor], Tensor],
) -> Mixed:
    """Mix each image with another by a learned mask; where lambda is near 0 or 1, evenly.

    Args:
        images: (B, C, H, W), left unchanged.
        rng: source of every random draw, on the device of ``images``.
        alpha: lambda ~ Beta(alpha, alpha).
        per_batch: one lambda for all rows, as in the official code, instead of one a row.
        lam_margin: where lambda is this near to 0 or to 1, the mask is constant.
        layer: stage of the network whose map the masks are made from; the stem is 0. This and what follows is read
            by ``methods/mask_learning.py``.
        lam_channel: the map gets lambda as one more channel: in OpenMixup for 224 pixels, not for CIFAR.
        mask_weight: gamma, of the loss that keeps a mask's mean near lambda.
        mask_decay: how gamma goes to 0 over the training: in OpenMixup not at all for CIFAR, else by a cosine; in the
            paper linearly.
        mask_loss: of each row's own mask (Eq. 7), or of the mean over the batch, as in the official code.
        first_momentum: of the slow copy, for a tenth of the training; a run of few steps needs less.
        last_momentum: of the slow copy at the end, for CIFAR; in OpenMixup 0.99999 for ImageNet and CUB.
        generate: from partners (B,) int64 and lambda (B,) to the partner's share (B, 1, H, W) of every pixel.

    The label is the drawn lambda, not the mask's mean, as in the paper and its code.
    """
    partner, lam = draw(len(images), alpha, per_batch, rng)
    mask = generate(partner, lam)
    extreme = ((lam <= lam_margin) | (1 - lam <= lam_margin)).view(-1, 1, 1, 1)
    return mix_by(images, partner, lam, torch.where(extreme, (1 - lam).view(-1, 1, 1, 1), mask))


def draw(size: int, alpha: float, per_batch: bool, rng: Generator) -> tuple[Tensor, Tensor]:
    """Return the partner of each row, (B,) int64, and its lambda, (B,)."""
    partner = partners(size, rng)
    return partner, beta(alpha, 1 if per_batch else size, rng).expand(size)


def mix_by(images: Tensor, partner: Tensor, lam: Tensor, mask: Tensor) -> Mixed:
    """Return the images (B, C, H, W) with the share ``mask`` (B, 1, H, W) of their partners; the mask gets gradient."""
    return pair(torch.lerp(images, images[partner], mask.to(images.dtype)), partner, lam)
