"""Plain mixing, with or without SUMix: every method whose loss is a mixed cross-entropy."""

import contextlib
import inspect
from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.methods.method import Method, Step
from trainables.mixers import MIXERS
from trainables.mixers.mixed import Mixed, mixed_cross_entropy
from trainables.sumix import SUMixLoss


def gradient_saliency(network: Network, images: Tensor, labels: Tensor) -> Tensor:
    """(B, H, W) length over channels of the loss' gradient with respect to each pixel, in evaluation mode."""
    was_training = network.training
    network.eval()
    pixels = images.detach().requires_grad_()
    with torch.enable_grad():
        loss = torch.nn.functional.cross_entropy(network(pixels).float(), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, pixels)
    network.train(was_training)
    return gradient.square().mean(dim=1).sqrt()


def encoder(network: Network, images: Tensor, labels: Tensor) -> Callable[[Tensor, int], Tensor]:
    """Runs pixels through the first stages of the network, with gradient."""
    return network.encode


# What a mixer may ask of the network, by the name of its keyword parameter.
INPUTS: dict[str, Callable[[Network, Tensor, Tensor], object]] = {
    "saliency": gradient_saliency,
    "encode": encoder,
}


class Mixing(Method):
    """Mixes the batch, then applies the mixed cross-entropy or, if any of its terms is on, the loss of SUMix."""

    def __init__(self, network: Network, config: Config, num_classes: int) -> None:
        super().__init__(network)
        mixer = MIXERS[config.mixer]
        self.mixer: Callable[..., Mixed] = partial(mixer, **config.mixer_options)
        self.inputs = {name: INPUTS[name] for name in INPUTS if name in inspect.signature(mixer).parameters}
        self.raw_forward = config.sumix.raw_forward
        num_features = network.backbone.head.in_features
        self.sumix = SUMixLoss(num_features, num_classes, config.sumix.terms) if config.sumix.terms.any else None

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        """See ``Method.forward``. With SUMix the batch before mixing goes through the network first."""
        raw = self.encode_raw(images) if self.sumix else None
        inputs = {name: compute(self.network, images, labels) for name, compute in self.inputs.items()}
        mixed = self.mixer(images, rng, **inputs)
        features = self.network.forward_features(mixed.images, mixed.depth)
        logits = self.network.head(features)
        if self.sumix is None or raw is None:
            return Step(mixed_cross_entropy(logits, labels, mixed), {})
        parts = self.sumix.parts(*raw, features, logits, labels, mixed)
        lam = parts.weights[:, 0]
        log = {"lam": lam, "lam_shift": (lam - mixed.weights[:, 0]).abs(), "regulariser": parts.regulariser.detach()}
        return Step(parts.loss, log)

    def encode_raw(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) features and (B, L) logits of the batch before mixing, by the configured ``raw_forward``."""
        no_grad = torch.no_grad() if self.raw_forward != "train_grad" else contextlib.nullcontext()
        if self.raw_forward == "eval_nograd":
            self.network.eval()
        with no_grad:
            features = self.network.forward_features(images)
            logits = self.network.head(features)
        self.network.train()
        return features, logits
