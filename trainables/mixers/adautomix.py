"""AdAutoMix: three images are mixed by masks that are learned against the classifier.

Jin, Zhu, Li, Wang, Liu, Yu, Wang, El-Yacoubi, "Adversarial AutoMixup", ICLR 2024 (arXiv:2312.11954). The generator,
and what trains it, are in ``methods/adversarial_masks.py``.

Shape letters: B batch, K images of a mixture, C channels, H height, W width.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Generator, Tensor

from trainables.mixers.mixed import Mixed, beta, blend_by_masks, itself_and_partners
from trainables.ranges import Share

IMAGES = 3  # K


def adautomix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    per_batch: bool = False,
    lam_margin: Share = 0.03,
    lam_channel: bool = False,
    adversarial_share: Share = 0.3,
    likeness: Literal["lowered", "raised"] = "lowered",
    plain_mixing: Share = 0.5,
    generate: Callable[[Tensor, Tensor], Tensor],
) -> Mixed:
    """Mix each image with two others by learned masks, or evenly where its own share is nearly all or nothing.

    Args:
        alpha: each image's share is drawn from Beta(alpha, alpha), and divided by the sum of the three.
        per_batch: one draw for all rows, as in the official code, instead of one a row.
        lam_margin: where the own share is within this of 0 or 1, all masks are the shares themselves.
        lam_channel: the maps get the shares as one more channel; not so for convolutional networks on CIFAR. This and
            what follows is read, as are the options of ``MaskBlock``, by ``methods/adversarial_masks.py``.
        adversarial_share: beta, by which the generator is rewarded for the slow copy's loss in every second step; the
            rest is the weight of the likeness of mixtures and their images to it.
        likeness: ``lowered``, as published, rewards mixtures that look unlike their images; ``raised`` has the other
            sign, and keeps what the images show.
        plain_mixing: share of the linear mixture in the classifier's loss on images without masks.
        generate: from sources (B, K) int64 and shares (B, K) to the share of each in every pixel, (B, K, H, W).

    The label has the drawn shares. The test of ``lam_margin`` is the official code's; OpenMixup's copy turns a half of
    it round, which makes nearly every mask even.
    """
    sources, lam = draw_three(len(images), alpha, per_batch, rng)
    masks = even_near_the_ends(generate(sources, lam), lam, lam_margin)
    return Mixed(blend_by_masks(images, sources, masks), sources, lam)


def draw_three(size: int, alpha: float, per_batch: bool, rng: Generator) -> tuple[Tensor, Tensor]:
    """Return the sources of each row, itself and two others, (B, K) int64, and their shares, (B, K)."""
    sources = itself_and_partners(size, IMAGES - 1, rng)
    drawn = torch.stack([beta(alpha, 1 if per_batch else size, rng) for _ in range(IMAGES)], dim=1)
    total = drawn.sum(dim=1, keepdim=True)  # 0 where a small alpha draws three numbers below float32's least
    return sources, torch.where(total > 0, drawn / total, 1 / IMAGES).expand(size, -1)


def even_near_the_ends(masks: Tensor, lam: Tensor, margin: float) -> Tensor:
    """Return ``masks`` (B, K, H, W), but the shares ``lam`` (B, K) everywhere in rows whose own is near 0 or 1."""
    extreme = ((lam[:, 0] <= margin) | (1 - lam[:, 0] < margin))[:, None, None, None]
    return torch.where(extreme, lam[:, :, None, None], masks)
