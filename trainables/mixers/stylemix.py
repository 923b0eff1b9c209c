"""StyleMix and StyleCutMix: the content of an image and its style are mixed by shares of their own.

M. Hong, J. Choi and G. Kim, "StyleMix: Separating Content and Style for Enhanced Data Augmentation", CVPR 2021. A style
is the mean and deviation of each channel of a feature map (AdaIN: Huang, Belongie, ICCV 2017, arXiv:1703.06868).

Shape letters: B batch, C channels, H height, W width, D channels of a feature map, h and w its sides.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from trainables.mixers.boxes import inside
from trainables.mixers.cutmix import draw
from trainables.mixers.mixed import Mixed, beta, pair, partners
from trainables.ranges import Count, Share

EPSILON = 1e-5  # below the root of a variance, as in AdaIN's code


class Codec(NamedTuple):
    """The two halves of a network that changes the style of an image."""

    encode: Callable[[Tensor], Tensor]  # pixels (B, C, H, W) in [0, 1] to features (B, D, h, w)
    decode: Callable[[Tensor], Tensor]  # features (B, D, h, w) to pixels (B, C, H, W)


def in_style_of(content: Tensor, style: Tensor) -> Tensor:
    """Return features (B, D, h, w) with the means and deviations of others: AdaIN."""
    means = [maps.mean(dim=(2, 3), keepdim=True) for maps in (content, style)]
    deviations = [(maps.var(dim=(2, 3), keepdim=True) + EPSILON).sqrt() for maps in (content, style)]
    return (content - means[0]) / deviations[0] * deviations[1] + means[1]


def stylemix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    content: Share = 0.7,
    codec_file: str | None = None,
    codec_side: Count = 224,
    codec: Codec,
) -> Mixed:
    """Mix the features of every image, in its own style and in its partner's, with those of its partner.

    Args:
        alpha: draws the share of the own content and that of the own style, both from Beta(alpha, alpha).
        content: the paper's r, how much of a label goes by content; the rest goes by style.
        codec_file: read by ``methods/style_codec.py``, which chooses what ``codec`` is.
        codec_side: the side in pixels at which that network sees the images.
        codec: the network between pixels and features.

    Every row has its own shares; the official code draws one for the batch. It shows AdaIN's network normalised images,
    which that was not trained on; here they are pixels. Its commands have ``alpha=0.5, mixer.probability=0.2``.
    """
    size = len(images)
    own, style = beta(alpha, size, rng), beta(alpha, size, rng)
    low, high = (own + style - 1).clamp(min=0), torch.minimum(own, style)
    both = low + (high - low) * torch.rand(size, generator=rng, device=rng.device)
    partner = partners(size, rng)
    features = codec.encode(images)
    others = features[partner]
    own, style, both = (share.view(-1, 1, 1, 1) for share in (own, style, both))
    mixed = (
        both * features
        + (1 - own - style + both) * others
        + (own - both) * in_style_of(features, others)
        + (style - both) * in_style_of(others, features)
    )
    pixels = codec.decode(mixed).clamp(0, 1).to(images.dtype)
    return pair(pixels, partner, (content * own + (1 - content) * style).flatten())


def stylecutmix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    content: Share = 0.7,
    codec_file: str | None = None,
    codec_side: Count = 224,
    codec: Codec,
) -> Mixed:
    """Paste a box of the partner into every image, and draw each of the two also in the style of the other.

    Args besides those of ``stylemix``:
        alpha: draws the size of the box, the share of the own style, and how much of it is taken from the pixels as
            they are (the paper's gamma), each from Beta(alpha, alpha).

    Every row has its own shares. The official code can also set gamma by the distance of two classes' styles, from a
    table that it ships; here it is drawn. Its commands draw it from Beta(0.8, 0.8), with ``mixer.probability=0.5``.
    """
    size, _, height, width = images.shape
    boxes, partner, _ = draw(images, rng, alpha=alpha, per_batch=False)
    style, gamma = beta(alpha, size, rng), beta(alpha, size, rng)
    pasted = inside(boxes, height, width).bool()  # (B, 1, H, W)
    others, features = images[partner], codec.encode(images)
    restyled = codec.decode(in_style_of(features, features[partner])).clamp(0, 1).to(images.dtype)
    restyled_others = codec.decode(in_style_of(features[partner], features)).clamp(0, 1).to(images.dtype)
    plain, own_style = (share.to(images.dtype).view(-1, 1, 1, 1) for share in (gamma, style))
    outside = torch.lerp(torch.lerp(restyled, images, plain), images, own_style)
    within = torch.lerp(others, torch.lerp(restyled_others, others, plain), own_style)
    kept = 1 - pasted.float().mean(dim=(1, 2, 3))
    lam = content * kept + (1 - content) * (gamma * kept + (1 - gamma) * style)
    return pair(torch.where(pasted, within, outside), partner, lam)
