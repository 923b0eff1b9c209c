"""Attentive CutMix: the cells of an image that a network attends to most are pasted onto another image.

D. Walawalkar, Z. Shen, Z. Liu and M. Savvides, "Attentive CutMix: An Enhanced Data Augmentation Approach
for Deep Learning Based Image Classification", ICASSP 2020, arXiv:2003.13048.

Shape letters: B batch, C channels, H height, W width, M rows and N columns of the attention map.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainables.mixers.cells import greatest_cells, spread_cells
from trainables.mixers.mixed import Mixed, beta, pair, partners
from trainables.ranges import Positive, ShareBelowOne


def attentivemix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 2.0,
    partner_alpha: Annotated[Positive, Field(ge=1)] | None = None,
    lam_per_batch: bool = False,
    top_k: int | None = None,
    extractor: str | None = None,
    ema: ShareBelowOne = 0.999,
    attention: Tensor,
) -> Mixed:
    """Keep the most attended cells of every image, and fill the rest with its partner.

    Args:
        alpha: draws lambda ~ Beta(alpha, alpha), one a row, the share of the cells that is kept: OpenMixup's
            ``AttentiveMix+``. At least one cell is kept.
        partner_alpha: draws lambda ~ Beta(alpha, partner_alpha) instead; OpenMixup's manual has 8, its code does not.
        lam_per_batch: one lambda for the whole batch, as in OpenMixup; each row keeps cells of its own.
        top_k: as published, this number of cells whatever lambda is (6 of 49 in the paper); the share of an
            image is then the same in every row.
        extractor, ema: read by ``methods/attention_extractor.py``, which chooses where ``attention`` comes from.
        attention: (B, M, N) of the images before mixing, M <= H and N <= W; any scale.

    The weights are counted in pixels, row by row, since cells differ in size; OpenMixup counts those of the first row.
    The paper takes the attention from a ResNet-50, OpenMixup from a ResNet-18, trained on ImageNet and shown the images
    at 224 pixels, in 7 x 7 cells. Here, unless ``extractor`` names such a network, it is the last feature map of the
    moving average of the network that is being trained, so that nothing has to be fetched and no image of another data
    set is used.
    """
    cells = attention[0].numel()
    if top_k is not None and not 1 <= top_k <= cells:
        raise ValueError(f"top_k must be between 1 and {cells}, the cells of the attention map, got {top_k}")
    lam = beta(alpha, 1 if lam_per_batch else len(images), rng, partner_alpha)
    kept = (lam * cells).long().clamp_(min=1).expand(len(images))  # (B,) cells
    if top_k is not None:
        kept = torch.full_like(kept, top_k)
    partner = partners(len(images), rng)

    mask = spread_cells(greatest_cells(attention.detach(), kept), *images.shape[2:])  # (B, H, W)
    mixed = torch.where(mask[:, None], images, images[partner])
    return pair(mixed, partner, mask.float().mean(dim=(1, 2)))
