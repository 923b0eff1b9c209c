"""AutoMix's Mix Block, which makes a mask from a network's maps of two images, and the loss of a mask's mean.

Liu, Li, Wu, Liu, Chen, Wu, Li, "AutoMix: Unveiling the Power of Mixup for Stronger Classifiers", ECCV 2022
(arXiv:2103.13027), Eq. 4 to 7. The paper and OpenMixup, the released code, make the mask differently: the paper
embeds lambda in both maps (``lam_channel``) and takes the value W_Z z of the image i whose share s_i is wanted,
OpenMixup embeds no lambda for small images and takes the value of the other image j (``value_of``). These are two
different functions. Enlarging a mask by the nearest neighbour gives the same before the sigmoid as after it.

Shape letters: B batch, C channels, h and w of a map, H and W of the image.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.device.precision import wide
from trainables.mixers.automix import MaskDecay, MeanOf, ValueOf
from trainables.optimisation.schedules import cosine


class MixBlock(nn.Module):
    """Lets each position of one image attend to the positions of the other, and has a value at those of one."""

    def __init__(self, channels: int, lam_channel: bool, value_of: ValueOf = "key") -> None:
        super().__init__()
        self.lam_channel = lam_channel
        self.value_of = value_of
        self.embed = nn.Conv2d(channels + lam_channel, channels // 2, 1)  # W_P, of both images
        self.value = nn.Conv2d(channels + lam_channel, 1, 1)  # W_Z
        draw_small(self)

    def forward(self, own: Tensor, other: Tensor, lam: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the partner's share of every pixel, s_j = 1 - s_i: (B, 1, H, W) in [0, 1], float32.

        The maps (B, C, h, w) are z_i of the image, the query, and z_j of its partner, the key; ``lam`` (B,) is the
        image's share. With the value of the query, s_i is sigma(P W_Z z_i), Eq. 5; with that of the key s_j is
        sigma(P W_Z z_j), as in OpenMixup. Half precision would overflow.
        """
        with torch.autocast(own.device.type, enabled=False):
            own, other = wide(own), wide(other)
            if self.lam_channel:
                own, other = with_channel(own, lam), with_channel(other, 1 - lam)
            values = self.value(other if self.value_of == "key" else own)  # (B, 1, h, w)
            seen = attended(self.embed(own), self.embed(other), values)  # (B, 1, h, w)
            share = F.interpolate(seen.sigmoid(), size=size, mode="nearest")
            return share if self.value_of == "key" else 1 - share


def draw_small(block: nn.Module) -> None:
    """Draw the weights of every convolution of a block from N(0, 0.01), with biases of 0, as OpenMixup does."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def attended(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return the values (B, 1, h, w) that each position attends to, by its query and all keys, (B, D, h, w) each."""
    keys = keys.flatten(2)
    attention = (queries.flatten(2).transpose(1, 2) @ keys / math.sqrt(keys.shape[1])).softmax(dim=-1)  # Eq. 6
    seen = attention @ values.flatten(2).transpose(1, 2)  # (B, hw, 1), by attention (B, hw, hw)
    return seen.transpose(1, 2).unflatten(2, values.shape[2:])


def with_channel(maps: Tensor, value: Tensor) -> Tensor:
    """Return ``maps`` and one more channel, which is ``value`` (B,) everywhere: (B, C + 1, h, w)."""
    channel = value.to(maps.dtype).view(-1, 1, 1, 1).expand(-1, 1, *maps.shape[2:])
    return torch.cat((maps, channel), dim=1)


def mask_loss(mask: Tensor, lam: Tensor, of: MeanOf, epsilon: float = 0.1) -> Tensor:
    """Return how far the mean of the own image's share is from lambda, beyond ``epsilon``, (): Eq. 7 before gamma.

    The mask (B, 1, H, W) is the partner's share, lambda (B,) the own image's, as drawn. The mean is that of each row,
    as in the paper, or that of the whole batch, as in OpenMixup.
    """
    gap = 1 - mask.mean(dim=(1, 2, 3)) - lam  # (B,)
    if of == "batch":
        gap = gap.mean()
    return (gap.abs() - epsilon).clamp(min=0).mean()


def mask_weight_at(progress: float, weight: float, decay: MaskDecay) -> float:
    """Return gamma when the share ``progress`` of the training is done; the paper's falls linearly."""
    factors = {"none": 1.0, "cosine": cosine(1.0, 0.0, progress), "linear": 1 - progress}
    return weight * factors[decay]
