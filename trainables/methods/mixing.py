"""Plain mixing, with or without SUMix: every method whose loss is a mixed cross-entropy."""

import contextlib
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Generator, Tensor

from trainables.backbones.backbone import Network
from trainables.backbones.modes import evaluation_mode
from trainables.config import Config, flatten
from trainables.losses.sumix import Seen, SUMixLoss, SUMixParts
from trainables.losses.sumix_release import ReleasedSUMixLoss
from trainables.methods.inputs import check_inputs, inputs_of, running_statistics_left
from trainables.methods.method import Method, Step
from trainables.mixers import MIXERS, parameters_of
from trainables.mixers.choice import happens
from trainables.mixers.mixed import (
    Mixed,
    alone,
    mixed_binary_cross_entropy,
    mixed_cross_entropy,
    one_hot,
    pair,
    side_by_side,
)
from trainables.parallel.rows import shares

LAM_BINS = 10  # in the logged histograms of lambda

SUMIX_PRESETS: dict[str, type[SUMixLoss]] = {"paper": SUMixLoss, "release": ReleasedSUMixLoss}


class Mixing(Method):
    """Mixes the batch, then applies the mixed cross-entropy or, if any of its terms is on, the loss of SUMix."""

    def __init__(self, network: Network, config: Config) -> None:
        self.check(config)
        super().__init__(network)
        mixer = MIXERS[config.mixer]
        parameters = parameters_of(mixer)
        own_options = {name: value for name, value in config.mixer_options.items() if name in parameters}
        self.mixer: Callable[..., Mixed] = partial(mixer, **own_options)
        self.probability: float = config.mixer_options["probability"]
        self.groups: int = config.mixer_options["groups"]
        self.inputs = inputs_of(config.mixer)
        check_inputs(self.inputs, network, config)
        self.loss: Callable[[Tensor, Tensor, Mixed], Tensor] = mixed_binary_cross_entropy
        if config.loss == "cross_entropy":
            self.loss = partial(mixed_cross_entropy, smoothing=config.label_smoothing)
        self.raw_forward, self.raw_statistics = config.sumix.raw_forward, config.sumix.raw_statistics
        self.clean_loss = config.clean_loss
        self.learns_before_mixing = config.sumix.learns_before_mixing or config.clean_loss > 0
        self.sumix: SUMixLoss | None = None
        if config.sumix.any:
            sumix, head = SUMIX_PRESETS[config.sumix.preset], network.backbone.head
            self.sumix = sumix(head.in_features, head.out_features, config.sumix, config.label_smoothing)

    @staticmethod
    def check(config: Config) -> None:
        """Raise ``ValueError`` for options that contradict the way in which the method works, whatever the network."""
        if "encode" in inputs_of(config.mixer):
            require(config, "mixes maps of one depth for a whole batch", {"mixer.groups": 1})
            refuse_joint(config, "mixes maps, which have left the images behind")

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        """See ``Method.forward``. With SUMix or a clean loss the batch before mixing goes through the network first.

        With ``raw_forward`` "joint" both batches go through it in one pass.
        """
        raw, seen = None, None
        needs_raw, joint = self.sumix is not None or self.clean_loss > 0, self.raw_forward == "joint"
        if needs_raw and not joint:
            raw = self.encode_raw(images)
        mixed = self.mix(images, labels, rng)
        if needs_raw and joint:
            features = self.network.forward_features(torch.cat((images, mixed.images)))
            raw, seen = zip(features.chunk(2), self.network.head(features).chunk(2), strict=True)
        loss, log = self.mixed_loss(raw, mixed, labels, seen)
        if raw is not None and self.clean_loss:
            loss = loss + self.clean_loss * self.loss(raw[1], labels, alone(images))
        return Step(loss, log)

    def mixed_loss(self, raw: Seen | None, mixed: Mixed, labels: Tensor, seen: Seen | None = None) -> Step:
        """Return the mixed cross-entropy or SUMix's loss of a mixed batch.

        ``raw`` holds the features (B, D) and logits (B, L) of the batch before mixing, and is None without SUMix;
        ``seen`` holds those of the mixed batch where they are known.
        """
        if seen is None:
            features = self.network.forward_features(mixed.images, mixed.depth)
            seen = features, self.network.head(features)
        features, logits = seen
        if self.sumix is None or raw is None:
            return Step(self.loss(logits, labels, mixed), {})
        parts: SUMixParts = self.sumix(*raw, features, logits, labels, mixed)
        log = describe(parts, mixed, features)
        if self.sumix.terms.lam == "learned":
            log |= {"lam_drawn": in_bins(mixed.weights[:, 0]), "lam_learned": in_bins(parts.weights[:, 0])}
        return Step(parts.loss, log)

    def mix(self, images: Tensor, labels: Tensor, rng: Generator) -> Mixed:
        """Return the batch after mixing.

        A batch that is not mixed, by ``mixer.probability``, keeps all of each image: its lambda is 1.
        """
        if self.probability < 1 and not happens(self.probability, rng):
            own = torch.arange(len(images), device=images.device)
            return pair(images, own, torch.ones(1, device=images.device))
        if self.groups == 1:
            return self.mixture(images, labels, rng)
        rows = shares(len(images), min(self.groups, len(images)))
        return side_by_side([self.mixture(images[own], labels[own], rng) for own in rows])

    def mixture(self, images: Tensor, labels: Tensor, rng: Generator) -> Mixed:
        """Return the mixer's batch; the inputs that it asks of the network are computed first."""
        inputs = {name: compute(self.network, images, labels) for name, compute in self.inputs.items()}
        return self.mixer(images, rng, **inputs)

    def encode_raw(self, images: Tensor) -> Seen:
        """Return features (B, D) and logits (B, L) of the batch before mixing, by the configured ``raw_forward``.

        A graph through which no gradient would flow is not kept: the numbers are the same in less memory. With
        ``raw_statistics`` "leave" the pass uses the batch's own statistics, and moves no running ones.
        """
        with contextlib.ExitStack() as how:
            if self.raw_forward != "train_grad" or not self.learns_before_mixing:
                how.enter_context(torch.no_grad())
            if self.raw_forward == "eval_nograd":
                how.enter_context(evaluation_mode(self.network))
            elif self.raw_statistics == "leave":
                how.enter_context(running_statistics_left(self.network))
            features = self.network.forward_features(images)
            return features, self.network.head(features)


def require(config: Config, reason: str, wanted: Mapping[str, object]) -> None:
    """Raise ``ValueError`` unless every key has the only value with which the mixer works, for a reason."""
    values = flatten(config)
    for key, value in wanted.items():
        if values[key] != value:
            raise ValueError(f"mixer {config.mixer!r} {reason}: {key} must be {value!r}, got {values[key]!r}")


def refuse_joint(config: Config, reason: str) -> None:
    """Raise ``ValueError`` if the batches before and after mixing are to share a pass, which the mixer forbids."""
    if config.sumix.raw_forward == "joint":
        require(config, reason, {"sumix.raw_forward": "train_grad"})


def describe(parts: SUMixParts, mixed: Mixed, mixed_features: Tensor) -> dict[str, Tensor]:
    """Return how SUMix changed a batch, for the log, from the parts of its loss and the mixed features (B, D) in it."""
    lam = parts.weights[:, 0].detach()
    return {
        "lam": lam,  # the one that weighted the loss
        "lam_std": lam.std(correction=0),  # its spread over the rows
        "lam_min": lam.min(),
        "lam_max": lam.max(),
        "lam_shift": (lam - mixed.weights[:, 0]).abs(),  # its distance from the mixer's
        "regulariser": parts.regulariser.detach(),  # before zeta
        "regulariser_logits": parts.z_su.detach(),  # near 0, as in the release, it can teach nothing
        # At the mixed features both of its terms meet.
        "regulariser_gradient": gradient_length(parts.regulariser, mixed_features),
    }


def in_bins(lam: Tensor) -> Tensor:
    """Return the rows of a histogram, (B, ``LAM_BINS``): the bin of equal width in which each lambda (B,) lies."""
    place = (lam.detach() * LAM_BINS).long().clamp(0, LAM_BINS - 1)
    return one_hot(place, LAM_BINS).long()


def gradient_length(mean: Tensor, rows: Tensor) -> Tensor:
    """Return the length of the gradient of a mean over the batch at each row (B, D), (B,), times B; 0 where none flows.

    Nothing before the rows is differentiated, and the graph is kept.
    """
    gradient = None
    if mean.requires_grad and rows.requires_grad:
        scale = torch.full_like(mean, len(rows))  # before the division by B, for half precision's sake
        (gradient,) = torch.autograd.grad(mean, rows, scale, retain_graph=True, allow_unused=True)
    return torch.zeros(len(rows), device=rows.device) if gradient is None else gradient.float().norm(dim=1)
