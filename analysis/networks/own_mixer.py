"""Mixtures of test images as a network saw them in training: by the mixer of its own run.

A mixer draws lambda itself. Here it draws from Beta(1, 1), so that every lambda occurs, and a mixture of a wanted
lambda is the nearest of many draws.

Shape letters: B batch, K sources of a mixture, C channels, H height, W width, L classes.
"""

import inspect
import io
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.opening import dataset_of
from trainables.methods import METHODS
from trainables.methods.inputs import INPUTS, inputs_of
from trainables.methods.mask_learning import AutoMixing
from trainables.mixers import MIXERS, learns_masks
from trainables.mixers.automix import random_grids
from trainables.mixers.mixed import Mixed

Mix = Callable[[Tensor, Tensor, Generator], Mixed]  # images (B, C, H, W) in [0, 1], labels (B,), generator
ALONE = ("none", "cutout", "augmix")  # mixers of one image alone
COPIES = 24  # the copies of a pair in a batch, which are the rows to choose from
DRAWS = 6


def mixer_of(network: Network, config: Config) -> Mix:
    """Return the mixer of a network's run, with lambda from Beta(1, 1).

    One without a second image, or with weights besides the network's, raises ``ValueError``.
    """
    if config.mixer in ALONE:
        raise ValueError(f"mixer {config.mixer!r} does not mix two images")
    if needs_weights(config.mixer):
        raise ValueError(f"mixer {config.mixer!r} needs weights of another network, which are not kept with a run")
    mixer = MIXERS[config.mixer]
    parameters = inspect.signature(mixer).parameters
    taken = parameters.keys() - {"alpha", "extractor"}
    options = {name: value for name, value in config.mixer_options.items() if name in taken}
    options |= {name: False for name in ("per_batch", "lam_per_batch") if name in options}

    def mix(images: Tensor, labels: Tensor, rng: Generator) -> Mixed:
        inputs = {name: make(network, images, labels) for name, make in inputs_of(config.mixer).items()}
        if learns_masks(config.mixer):
            inputs["generate"] = _masks(network, config, images, rng)
        return mixer(images, rng, alpha=1.0, **options, **inputs)

    return mix


def needs_weights(mixer: str) -> bool:
    """Return whether a mixer needs the weights of another network, from a file that only its own run names."""
    parameters = inspect.signature(MIXERS[mixer]).parameters.values()
    required = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    return bool(required - {*INPUTS, "alpha", "generate"})


def _masks(network: Network, config: Config, images: Tensor, rng: Generator) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the function that ``mixers.automix``, ``mixers.samix`` and ``mixers.adautomix`` call ``generate``."""
    block = getattr(network, "mix_block", None)
    if block is None and config.mixer_options.get("masks") != "grids":
        raise ValueError(f"the run has kept no Mix Block, so {config.mixer} cannot make its masks")
    with torch.no_grad():
        maps = network.backbone.grid(network.encode(images, config.mixer_options["layer"] + 1))
    size = (images.shape[2], images.shape[3])

    @torch.no_grad()
    def generate(others: Tensor, lam: Tensor) -> Tensor:
        if block is None:
            return random_grids(lam, (maps.shape[2], maps.shape[3]), size, rng)
        if others.ndim == 1:  # partners
            return block(maps, maps[others], lam, size)
        return block(maps[others], lam, size)  # all sources, (B, K)

    return generate


def load_block(network: Network, config: Config, content: bytes) -> nn.Module:
    """Return the block that made a run's masks, from its state_dict."""
    options = config.mixer_options
    method = METHODS[config.mixer]
    assert issubclass(method, AutoMixing)
    with torch.no_grad():
        pixels = torch.zeros(1, *dataset_of(config).image_shape)
        maps = network.eval().backbone.grid(network.encode(pixels, options["layer"] + 1))
    block = method.make_block(maps.shape[1], options)
    block.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    return block.eval()


class Mixture(NamedTuple):
    """One mixed image."""

    image: Tensor  # (C, H, W), or (D, h, w) of feature maps
    share: float  # what the first image of the pair weighs in the label
    depth: int  # stages of the network that the image has been through, 0 for pixels


def nearest_mixture(mix: Mix, pair: Tensor, labels: Tensor, lam: float, draws: int = DRAWS) -> Mixture:
    """Return the mixture of two images in which the first weighs most nearly ``lam``, of some hundred draws.

    The pair is (2, C, H, W) in [0, 1], its labels (2,) int64. A draw is a batch with its own seed, by :func:`mixer_of`.
    """
    images, repeated = pair.repeat(COPIES, 1, 1, 1), labels.repeat(COPIES)

    def nearest_of(seed: int) -> Mixture:
        mixed = mix(images, repeated, Generator(images.device).manual_seed(seed))
        first = (mixed.sources % 2 == 0).to(mixed.weights)
        share = (mixed.weights * first).sum(dim=1)[::2]  # rows that are the pair's first image
        row = int((share - lam).abs().argmin())
        return Mixture(mixed.images[2 * row].detach(), float(share[row]), mixed.depth)

    return min(map(nearest_of, range(draws)), key=lambda mixture: abs(mixture.share - lam))
