"""The inputs that a mixer may ask of the network, by the name of its keyword parameter.

Every entry is computed afresh for each batch from (network, images, labels): images are (B, C, H, W) pixels in [0, 1]
before mixing, labels (B,) int64. ``check_inputs`` refuses, before any training, a network that cannot give them.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.backbones.backbone import Network
from trainables.backbones.deit import DeiT
from trainables.backbones.modes import batch_norms, evaluation_mode
from trainables.backbones.token_merging import merged_attention
from trainables.config import Config
from trainables.device.precision import wide
from trainables.mixers import MIXERS, parameters_of

# Half precision would round the small gradients of a pixel to zero; a power of two costs no digit.
GRADIENT_SCALE = 1024.0


@runtime_checkable
class HasClassToken(Protocol):
    """A backbone with a class token, whose attention TransMix reads."""

    def class_attention(self, images: Tensor) -> Tensor:
        """Return the attention of the token to each patch of normalised images in the last block, (B, h, w)."""


@contextlib.contextmanager
def running_statistics_left(network: Network) -> Iterator[None]:
    """Let batch norms in training mode use the batch's statistics and leave their running ones as they are."""
    norms = batch_norms(network)
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def gradient_saliency(network: Network, images: Tensor, labels: Tensor) -> Tensor:
    """Return the length over channels of the loss's gradient at each pixel, (B, H, W) float32, in evaluation mode.

    The codes that use it differentiate by normalised pixels, which weighs the channels, on CIFAR by 4 % at most.
    """
    pixels = images.detach().requires_grad_()
    with evaluation_mode(network), torch.enable_grad():
        loss = F.cross_entropy(wide(network(pixels)), labels, reduction="sum") * GRADIENT_SCALE
        (gradient,) = torch.autograd.grad(loss, pixels)
    return gradient.float().square().mean(dim=1).sqrt() / GRADIENT_SCALE


def map_attention(network: Network, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over channels of the last feature map, (B, h, w), in evaluation mode and without gradient."""
    with evaluation_mode(network), torch.no_grad():
        maps = network.encode(images, len(network.backbone.stages))
        return network.backbone.grid(maps).mean(dim=1)


def token_attention(network: Network, pixels: Tensor) -> Tensor:
    """Return the class token's attention (B, h, w) to the patches of pixels (B, C, H, W), without gradient."""
    with evaluation_mode(network), torch.no_grad():
        return cast(HasClassToken, network.backbone).class_attention(network.normalise(pixels))


def merged_token_attention(network: Network, pixels: Tensor, share: float) -> Tensor:
    """Return the attention as ``token_attention`` does, after this share of the patches has been merged."""
    backbone = network.backbone
    assert isinstance(backbone, DeiT)
    with evaluation_mode(network), torch.no_grad():
        return merged_attention(backbone, network.normalise(pixels), share)


def classify(network: Network, pixels: Tensor) -> Tensor:
    """Return logits (B, L) of pixels (B, C, H, W), in evaluation mode, with gradient."""
    with evaluation_mode(network):
        return network(pixels)


INPUTS: dict[str, Callable[[Network, Tensor, Tensor], object]] = {
    "saliency": gradient_saliency,
    "attention": map_attention,
    # Functions of pixels, because a mixer applies them to its own mixtures.
    "attend": lambda network, images, labels: partial(token_attention, network),
    "attend_merged": lambda network, images, labels: partial(merged_token_attention, network),
    "teach": lambda network, images, labels: partial(classify, network),
    "encode": lambda network, images, labels: network.encode,  # the first stages, with gradient; the stem is stage 0
    "num_stages": lambda network, images, labels: len(network.backbone.stages),  # the depth of the last feature map
}


def inputs_of(mixer: str) -> dict[str, Callable[[Network, Tensor, Tensor], object]]:
    """Return the members of ``INPUTS`` that a mixer asks of the network."""
    parameters = parameters_of(MIXERS[mixer])
    return {name: compute for name, compute in INPUTS.items() if name in parameters}


def check_inputs(wanted: Iterable[str], network: Network, config: Config) -> None:
    """Raise ``ValueError`` for what the mixer wants and ``network`` cannot give."""
    if "attend_merged" in wanted and not isinstance(network.backbone, DeiT):
        needed = "the backbone 'deit_small' or 'vit_tiny_32', whose tokens merge"
    elif "attend" in wanted and not isinstance(network.backbone, HasClassToken):
        needed = "a backbone with the attention of a class token, such as 'deit_small' or 'vit_tiny_32'"
    else:
        return
    raise ValueError(f"mixer {config.mixer!r} needs {needed}, got {config.backbone!r}")
