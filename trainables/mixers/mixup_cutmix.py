"""mixup or CutMix in turn: the mixing of DeiT, Swin and "ResNet strikes back".

H. Touvron et al., "Training data-efficient image transformers & distillation through attention", ICML 2021,
arXiv:2012.12877 (Table 9); R. Wightman, H. Touvron and H. Jegou, arXiv:2110.00476 (Table 2).
"""

import torch
from torch import Generator, Tensor

from trainables.mixers.boxes import Label, label_share, outside
from trainables.mixers.cutmix import draw
from trainables.mixers.mixed import Mixed, beta, blend, pair
from trainables.ranges import Positive, Share


def mixup_cutmix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    mixup_alpha: Positive = 0.8,
    cutmix_share: Share = 0.5,
    per_batch: bool = False,
    label: Label = "area",
) -> Mixed:
    """Mix each image by CutMix or by mixup, drawn for each row.

    Args:
        alpha: CutMix draws lambda ~ Beta(alpha, alpha), and a box of the area ``1 - lam`` before it is clipped.
        mixup_alpha: mixup draws lambda ~ Beta(mixup_alpha, mixup_alpha).
        cutmix_share: the share of the rows that CutMix mixes.
        per_batch: one of the two, with one lambda, for the whole batch, as the official codes have it.
        label: for the rows that CutMix mixes, as in ``cutmix``.
    """
    size, _, height, width = images.shape
    boxes, partner, drawn = draw(images, rng, alpha=alpha, per_batch=per_batch)
    lam = beta(mixup_alpha, 1 if per_batch else size, rng)
    cut = torch.rand(len(lam), generator=rng, device=rng.device) < cutmix_share
    own = torch.where(cut[:, None, None, None], outside(boxes, height, width), lam[:, None, None, None])
    of_cut = label_share(boxes, height, width, drawn, label)
    return pair(blend(images, partner, own), partner, torch.where(cut, of_cut, lam))
