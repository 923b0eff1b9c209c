"""SAMix: AutoMix with a block that sees both images, and masks that are far from even.

Li, Liu, Wang, Wu, Liu, Li, "Boosting Discriminative Visual Representation Learning with Scenario-Agnostic Mixup", 2021
(arXiv:2111.15454). The block, and what trains it, are in ``methods/scenario_agnostic.py``.

Shape letters: B batch, C channels, H height, W width.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from trainables.mixers.automix import MaskDecay, MeanOf, draw, even_near_the_ends, mix_by
from trainables.mixers.mixed import Mixed
from trainables.ranges import NotNegative, Share


def samix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 2.0,
    per_batch: bool = False,
    derangement: bool = False,
    lam_margin: Share = 0.08,
    mask_adjust: Share = 0.0,
    lam_k: NotNegative | None = 0.25,
    mask_weight: NotNegative = 0.1,
    mask_decay: MaskDecay = "none",
    mask_loss: MeanOf = "row",
    variance_weight: NotNegative = 2.0,
    epsilon: NotNegative = 0.1,
    generate: Callable[[Tensor, Tensor], Tensor],
) -> Mixed:
    """Mix each image with another by a learned mask, or evenly where lambda is near 0 or 1.

    Args:
        mask_adjust: the share of the rows whose mask is scaled until its mean is lambda (``with_mean``), drawn row by
            row; OpenMixup's configurations have 0 or 0.25, drawn once a batch. Its code takes the lambda of the
            mixtures that train the block; here it is that of the mixture itself.
        lam_k: how straight the curve is by which lambda strengthens a map; 0 is the most bent, and None is straight,
            as OpenMixup has it for large images.
        variance_weight: weight of the masks' variance, which the loss of a mask rewards, before ``mask_weight``.
        generate: from partners (B,) int64 and lambda (B,) to the partner's share (B, 1, H, W) of every pixel.

    Every other option is that of ``automix``, with OpenMixup's values for CIFAR-100. Its ``neg_weight``, which changes
    nothing, is left out.
    """
    partner, lam = draw(len(images), alpha, per_batch, rng, derangement)
    mask = generate(partner, lam)
    if mask_adjust:
        chosen = torch.rand(len(lam), generator=rng, device=rng.device) < mask_adjust
        mask = torch.where(chosen.view(-1, 1, 1, 1), with_mean(mask, lam), mask)
    return mix_by(images, partner, lam, even_near_the_ends(mask, lam, lam_margin))


def with_mean(mask: Tensor, lam: Tensor) -> Tensor:
    """Return masks (B, 1, H, W), the partner's share, whose own image has the mean share lambda (B,), between 0 and 1.

    The image whose share is too large is weakened by one factor at every pixel.
    """
    own, mean = lam.view(-1, 1, 1, 1), mask.mean(dim=(1, 2, 3), keepdim=True)
    weaker_partner = mask * (1 - own) / mean
    weaker_own = 1 - (1 - mask) * own / (1 - mean)
    return torch.where(mean > 1 - own, weaker_partner, weaker_own)
