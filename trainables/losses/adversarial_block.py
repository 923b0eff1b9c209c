"""AdAutoMix's generator, which makes one mask for each of several images.

Jin, Zhu, Li, Wang, Liu, Yu, Wang, El-Yacoubi, "Adversarial AutoMixup", ICLR 2024 (arXiv:2312.11954); the details are
those of the official code.

Shape letters: B batch, K images of a mixture, C channels, h and w of a map, H and W of the image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.losses.mix_block import attended, draw_small, with_channel
from trainables.precision import wide


class AdversarialBlock(nn.Module):
    """Attention of each position of an image to the positions of all others together, and a value of its own."""

    def __init__(self, channels: int, lam_channel: bool) -> None:
        super().__init__()
        self.lam_channel = lam_channel
        self.query = nn.Conv2d(channels + lam_channel, channels // 2, 1)
        self.key = nn.Conv2d(channels + lam_channel, channels // 2, 1)
        self.value = nn.Conv2d(channels + lam_channel, 1, 1)
        draw_small(self)

    def forward(self, maps: Tensor, lam: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the share of each image in every pixel, (B, K, H, W), float32; the shares of a pixel sum to 1.

        The maps are (B, K, C, h, w), and ``lam`` (B, K) the shares in the label.
        """
        with torch.autocast(maps.device.type, enabled=False):
            flat = wide(maps).flatten(0, 1)  # (BK, C, h, w)
            if self.lam_channel:
                flat = with_channel(flat, lam.flatten())
            keys = self.key(flat).unflatten(0, lam.shape)  # (B, K, C/2, h, w)
            others = keys.sum(dim=1, keepdim=True) - keys  # the scores are linear in the keys
            seen = attended(self.query(flat), others.flatten(0, 1), self.value(flat))  # (BK, 1, h, w)
            seen = seen.squeeze(1).unflatten(0, lam.shape)
            return F.interpolate(seen, size=size, mode="bilinear", align_corners=False).softmax(dim=1)


def likeness(logits: Tensor, source_logits: Tensor, lam: Tensor) -> Tensor:
    """Return the mean over the batch, (), of the cosine between a mixture's logits and its sources', by their shares.

    The logits are (B, L) of the mixtures and (B, K, L) of their sources; the shares are (B, K).
    """
    return (lam * F.cosine_similarity(logits[:, None], source_logits, dim=-1)).sum(dim=1).mean()
