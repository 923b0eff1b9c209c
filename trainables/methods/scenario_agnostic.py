"""SAMix's training: AutoMix's, with a block that sees both images, and a reward for masks that are far from even.

Li, Liu, Wang, Wu, Liu, Li, "Boosting Discriminative Visual Representation Learning with Scenario-Agnostic Mixup", 2021
(arXiv:2111.15454); the details are those of OpenMixup's configuration for CIFAR-100.

Shape letters: B batch, C channels, h and w of a map, H and W of the image.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.device.precision import wide
from trainables.losses.mix_block import attended, draw_small
from trainables.methods.mask_learning import AutoMixing
from trainables.mixers.automix import MeanOf


class SAMixing(AutoMixing):
    """AutoMix's momentum pipeline around SAMix's block."""

    @staticmethod
    def make_block(channels: int, options: Mapping[str, Any]) -> nn.Module:
        return SAMixBlock(channels, options["lam_k"])

    def mask_gap(self, mask: Tensor, lam: Tensor) -> Tensor:
        """See ``AutoMixing.mask_gap``; the variance of the masks is subtracted."""
        variance = mask_variance(mask, self.options["mask_loss"])
        return super().mask_gap(mask, lam) - self.options["variance_weight"] * variance


class SAMixBlock(nn.Module):
    """A Mix Block whose queries and keys come from both maps, with a value that is not linear.

    OpenMixup's value has no bias; here it is one number that is added to all of a mask before the sigmoid.
    """

    def __init__(self, channels: int, lam_k: float | None) -> None:
        super().__init__()
        self.lam_k = lam_k
        self.query = nn.Conv2d(2 * channels, channels // 2, 1)
        self.key = nn.Conv2d(2 * channels, channels // 2, 1)
        self.value = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 1),
            nn.BatchNorm2d(channels // 2),
            nn.ELU(),
            nn.Conv2d(channels // 2, 1, 1),
        )
        draw_small(self)

    def forward(self, own: Tensor, other: Tensor, lam: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the partner's share of every pixel, as ``MixBlock`` does.

        Each map is strengthened by its image's share, which is bent by a curve first (``rescaled``).
        """
        with torch.autocast(own.device.type, enabled=False):
            share = rescaled(lam, self.lam_k).to(wide(own).dtype).view(-1, 1, 1, 1)
            own, other = wide(own) * (1 + share), wide(other) * (2 - share)
            both = torch.cat((own, other), dim=1)  # (B, 2C, h, w)
            seen = attended(self.query(both), self.key(both), self.value(other))  # (B, 1, h, w)
            return F.interpolate(seen, size=size, mode="bilinear", align_corners=False).sigmoid()


def rescaled(lam: Tensor, k: float | None) -> Tensor:
    """Return lambda (B,) bent towards a half: a cubic from 0 to 1 that is straight for a large ``k``, and for None."""
    if k is None:
        return lam
    return (4 / 3 * lam**3 - 2 * lam**2 + (k + 1) * lam) / (k + 1 - 2 / 3)


def mask_variance(mask: Tensor, of: MeanOf) -> Tensor:
    """Return the variance, (), of the pixels of each mask (B, 1, H, W), averaged, or of those of the whole batch."""
    return mask.var(dim=(1, 2, 3), correction=0).mean() if of == "row" else mask.var(correction=0)
