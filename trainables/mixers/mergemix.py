"""MergeMix: an image keeps the patches that a transformer attends to once its tokens are merged; the rest is pasted.

Jin, Li, Jian, Yu, Wang, "MergeMix: A Unified Augmentation Paradigm for Visual and Multi-Modal Understanding", ICLR 2026
(arXiv:2510.23479). The merging is in ``backbones/token_merging.py``.

Shape letters: B batch, C channels, H height, W width, M rows and N columns of patches.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainables.mixers.cells import greatest_cells
from trainables.mixers.mixed import Mixed, beta, blend, pair, partners
from trainables.ranges import ShareBelowOne


def mergemix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    per_batch: bool = False,
    merged_share: ShareBelowOne = 0.5,
    label: Literal["area", "gaussian"] = "area",
    attend_merged: Callable[[Tensor, float], Tensor],
) -> Mixed:
    """Keep of each image the patches that get the most attention, and paste its partner into the others.

    Args:
        alpha: lambda ~ Beta(alpha, alpha); the image keeps ``floor(lambda * M * N)`` patches.
        per_batch: one lambda for all rows, as in the released code, instead of one a row.
        merged_share: the share of the patches that are merged away before the last block.
        label: lambda is the kept area, as the released code has it for ImageNet; or drawn from a Gaussian distribution
            around ``merged_share``, as wide as the kept area, and stretched so that the batch spans 0 to 1, as in the
            paper and the released settings for CIFAR-100.
        attend_merged: from images (B, C, H, W) and ``merged_share`` to the attention (B, M, N) of each patch.

    The released code also trains on mixup of the same images, for a share of its batches or next to them; here
    ``clean_loss`` adds the images as they are.
    """
    size, _, height, width = images.shape
    partner = partners(size, rng)
    lam = beta(alpha, 1 if per_batch else size, rng).expand(size)
    attention = attend_merged(images, merged_share).detach().float()  # (B, M, N)
    count = attention[0].numel()
    kept = (lam * count).floor()  # (B,)
    own = greatest_cells(attention, kept).float()[:, None]
    mask = F.interpolate(own, size=(height, width), mode="nearest")
    area = kept / count
    if label == "gaussian":
        drawn = merged_share + area * torch.randn(size, generator=rng, device=images.device)
        lowest, highest = drawn.amin(), drawn.amax()
        area = (drawn - lowest) / (highest - lowest + 1e-5)
    return pair(blend(images, partner, mask), partner, area)
