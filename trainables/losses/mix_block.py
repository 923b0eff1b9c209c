"""AutoMix's Mix Block, which makes a mask from what a network sees in two images, and the loss of a mask's mean.

Liu et al., ECCV 2022 (arXiv:2103.13027), section 3.2 and Eq. 7. As in the official code the value is taken of the
partner and gives the partner's share, where the paper has both of the image itself: one is the other with the names
exchanged. Enlarging by the nearest neighbour before the sigmoid or after it is the same.

Shape letters: B batch, C channels, h and w of a map, H and W of the image.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MARGIN = 0.1  # epsilon of Eq. 7: so far may a mask's mean be from lambda


class MixBlock(nn.Module):
    """Attention of each place of one image over the places of the other, and the value found there."""

    def __init__(self, channels: int, lam_channel: bool) -> None:
        super().__init__()
        self.lam_channel = lam_channel
        self.embed = nn.Conv2d(channels + lam_channel, channels // 2, 1)  # of both images
        self.value = nn.Conv2d(channels + lam_channel, 1, 1)
        for conv in (self.embed, self.value):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, own: Tensor, other: Tensor, lam: Tensor, size: tuple[int, int]) -> Tensor:
        """The partner's share of every pixel.

        Args:
            own: (B, C, h, w) of the image.
            other: (B, C, h, w) of its partner.
            lam: (B,) the image's share.
            size: (H, W) of the mask.

        Returns:
            (B, 1, H, W) in [0, 1], float32: half precision would overflow.
        """
        with torch.autocast(own.device.type, enabled=False):
            own, other = own.float(), other.float()
            if self.lam_channel:
                own, other = _with_channel(own, lam), _with_channel(other, 1 - lam)
            queries = self.embed(own).flatten(2).transpose(1, 2)  # (B, hw, C/2)
            keys = self.embed(other).flatten(2)  # (B, C/2, hw)
            attention = (queries @ keys / math.sqrt(keys.shape[1])).softmax(dim=-1)  # (B, hw, hw)
            values = self.value(other).flatten(2).transpose(1, 2)  # (B, hw, 1)
            mask = (attention @ values).transpose(1, 2).unflatten(2, own.shape[2:])  # (B, 1, h, w)
            return F.interpolate(mask.sigmoid(), size=size, mode="nearest")


def _with_channel(maps: Tensor, value: Tensor) -> Tensor:
    """(B, C + 1, h, w): ``maps`` and a channel that is ``value`` (B,) everywhere."""
    return torch.cat((maps, value.view(-1, 1, 1, 1).expand(-1, 1, *maps.shape[2:])), dim=1)


def mask_loss(mask: Tensor, lam: Tensor, of: Literal["row", "batch"]) -> Tensor:
    """() how far the mean of the own image's share is from lambda, beyond ``MARGIN`` (Eq. 7, before gamma).

    Args:
        mask: (B, 1, H, W) the partner's share.
        lam: (B,) the own image's share, as drawn.
        of: each row's own mean, or that of the whole batch, as in the official code.
    """
    gap = 1 - mask.mean(dim=(1, 2, 3)) - lam  # (B,)
    if of == "batch":
        gap = gap.mean()
    return (gap.abs() - MARGIN).clamp(min=0).mean()


def teacher_momentum(progress: float, first: float, last: float) -> float:
    """What the slow copy keeps of itself in a step: ``first`` for a tenth of the training, then a cosine to ``last``.

    The cosine runs over the whole training and is cut off, not shifted, as in the official code.
    """
    return first if progress < 0.1 else last - (last - first) * (math.cos(math.pi * progress) + 1) / 2


def mask_weight_at(progress: float, weight: float, decay: Literal["none", "cosine", "linear"]) -> float:
    """Gamma when the share ``progress`` of the training is done."""
    factors = {"none": 1.0, "cosine": (math.cos(math.pi * progress) + 1) / 2, "linear": 1 - progress}
    return weight * factors[decay]
