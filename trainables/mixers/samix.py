"""SAMix: AutoMix with a block that sees both images, and masks that are far from even.

Li, Liu, Wang, Wu, Liu, Li, "Boosting Discriminative Visual Representation Learning with Scenario-Agnostic Mixup", 2021
(arXiv:2111.15454). The block is in ``losses/samix_block.py``, what trains it in ``methods/scenario_agnostic.py``.

Shape letters: B batch, C channels, H height, W width.
"""

from collections.abc import Callable

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
    lam_margin: Share = 0.08,
    lam_k: NotNegative = 0.25,
    mask_weight: NotNegative = 0.1,
    mask_decay: MaskDecay = "none",
    mask_loss: MeanOf = "row",
    variance_weight: NotNegative = 2.0,
    epsilon: NotNegative = 0.1,
    generate: Callable[[Tensor, Tensor], Tensor],
) -> Mixed:
    """Mix each image with another by a learned mask, or evenly where lambda is near 0 or 1.

    Args:
        lam_k: how straight the curve is by which lambda strengthens a map; 0 is the most bent.
        variance_weight: weight of the masks' variance, which the loss of a mask rewards, before ``mask_weight``.
        generate: from partners (B,) int64 and lambda (B,) to the partner's share (B, 1, H, W) of every pixel.

    Every other option is that of ``automix``, with OpenMixup's values for CIFAR-100. OpenMixup's ``mask_adjust``,
    which is 0 or compares masks with the wrong lambda, and its ``neg_weight``, which changes nothing, are left out.
    """
    partner, lam = draw(len(images), alpha, per_batch, rng)
    return mix_by(images, partner, lam, even_near_the_ends(generate(partner, lam), lam, lam_margin))
