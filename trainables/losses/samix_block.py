"""SAMix's Mix Block, which sees both images wherever it looks, and the loss of its masks.

Li, Liu, Wang, Wu, Liu, Li, "Boosting Discriminative Visual Representation Learning with Scenario-Agnostic Mixup", 2021
(arXiv:2111.15454); the details are those of OpenMixup's configuration for CIFAR-100.

Shape letters: B batch, C channels, h and w of a map, H and W of the image.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.losses.mix_block import Of
from trainables.losses.sumix import wide


class SAMixBlock(nn.Module):
    """A Mix Block whose queries and keys come from both maps, with a value that is not linear."""

    def __init__(self, channels: int, lam_k: float) -> None:
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
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, own: Tensor, other: Tensor, lam: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the partner's share of every pixel, (B, 1, H, W) in [0, 1], float32.

        Args:
            own: (B, C, h, w) of the image.
            other: (B, C, h, w) of its partner.
            lam: (B,) the image's share.
            size: (H, W) of the mask.

        Each map is stronger by its image's share, which lambda reaches through a curve (``rescaled``).
        """
        with torch.autocast(own.device.type, enabled=False):
            share = rescaled(lam, self.lam_k).to(wide(own).dtype).view(-1, 1, 1, 1)
            own, other = wide(own) * (1 + share), wide(other) * (2 - share)
            both = torch.cat((own, other), dim=1)  # (B, 2C, h, w)
            queries = self.query(both).flatten(2).transpose(1, 2)  # (B, hw, C/2)
            keys = self.key(both).flatten(2)  # (B, C/2, hw)
            attention = (queries @ keys / math.sqrt(keys.shape[1])).softmax(dim=-1)  # (B, hw, hw)
            values = self.value(other).flatten(2).transpose(1, 2)  # (B, hw, 1)
            seen = (attention @ values).transpose(1, 2).unflatten(2, own.shape[2:])  # (B, 1, h, w)
            return F.interpolate(seen, size=size, mode="bilinear", align_corners=False).sigmoid()


def rescaled(lam: Tensor, k: float) -> Tensor:
    """Return lambda (B,) bent towards a half: a cubic from 0 to 1 that is straight for a large ``k``, at least 0."""
    return (4 / 3 * lam**3 - 2 * lam**2 + (k + 1) * lam) / (k + 1 - 2 / 3)


def mask_variance(mask: Tensor, of: Of) -> Tensor:
    """Return the mean square of how far the pixels of masks (B, 1, H, W) are from the mean, ().

    Args:
        mask: of the partner's share.
        of: whether the mean is each row's own or that of the whole batch.
    """
    return mask.var(dim=(1, 2, 3), correction=0).mean() if of == "row" else mask.var(correction=0)
