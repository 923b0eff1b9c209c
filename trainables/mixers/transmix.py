"""TransMix: CutMix whose labels are weighted by the attention of a vision transformer.

J.-N. Chen, S. Sun, J. He, P. Torr, A. Yuille and S. Bai, "TransMix: Attend to Mix for Vision Transformers",
CVPR 2022, arXiv:2111.09833.

Shape letters: B batch, C channels, H height, W width, M rows and N columns of patches.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from trainables.mixers.boxes import inside, paste
from trainables.mixers.cells import spread_cells
from trainables.mixers.cutmix import draw
from trainables.mixers.mixed import Mixed, pair
from trainables.ranges import Share


def transmix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    attention_share: Share = 0.5,
    per_batch: bool = False,
    attend: Callable[[Tensor], Tensor],
) -> Mixed:
    """Paste boxes as CutMix does; a source counts by its area and by the attention that its patches get.

    Args:
        alpha: draws lambda ~ Beta(alpha, alpha), one box a row.
        attention_share: the share of a weight that goes by attention; the rest goes by area. 0 is CutMix.
        per_batch: one box for the whole batch, as the official code has it.
        attend: from mixed images (B, C, H, W) to the attention (B, M, N) that the class token pays to each
            patch, not negative; no gradient flows back.

    A patch belongs to the image that its first pixel shows. The official code reads the attention off the training's
    own forward pass; here the network runs once more, in evaluation mode and without gradient. It applies TransMix to
    the share of its batches that CutMix mixes, the others are mixed by mixup; here every batch is CutMix's.
    """
    boxes, partner, lam = draw(images, rng, alpha=alpha, per_batch=per_batch)
    mixed = paste(images, partner, boxes, lam)

    attention = attend(mixed.images).detach().float()  # (B, M, N)
    pasted = spread_cells(inside(boxes, *images.shape[2:])[:, 0], *attention.shape[1:])  # (B, M, N)
    total = attention.sum(dim=(1, 2)).clamp_min(torch.finfo(attention.dtype).tiny)
    attended = 1 - (attention * pasted).sum(dim=(1, 2)) / total  # (B,) to the own image
    return pair(mixed.images, partner, torch.lerp(mixed.weights[:, 0], attended, attention_share))
