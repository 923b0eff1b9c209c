"""The options that every mixer has besides its own, and the presets of AutoMix's.

They say which batches are mixed, and how the network learns from them; they are written like a mixer's own,
``mixer.probability``, and read by the methods.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal

from trainables.ranges import Count, NotNegative, Positive, Share, ShareBelowOne


@dataclass(frozen=True, kw_only=True)
class EveryMixer:
    """Options of every mixer. ``none`` takes them without an effect, so that a study can set them for all."""

    # The share of the batches that are mixed; the others are trained on as they are. CutMix's and SaliencyMix's codes
    # have 0.5 for CIFAR, OpenMixup and SUMix 1.
    probability: Share = 1.0
    # Parts of a batch that are mixed separately, as where each of several processes mixes its own rows; the network
    # sees them together.
    groups: Count = 1
    # The rows of AutoMix's Table 8: no slow copy; a copy of momentum 0, that is, of the same weights; a slow copy; a
    # slow copy and the cross-entropy of plain images. None: the mixer's own, mp_ce where masks are learned, else none.
    pipeline: Literal["none", "mp_m0", "mp", "mp_ce"] | None = None


@dataclass(frozen=True, kw_only=True)
class SlowCopy:
    """Options of every mixer whose pipeline has a slow copy, theta_k of AutoMix's Eq. 12.

    The mixers whose masks are learned have them in every pipeline; ``none`` and ``mp_m0`` do not read them.
    """

    first_momentum: Share = 0.999  # m; a run of few steps needs less
    last_momentum: Share = 1.0  # m at the end, by a cosine
    momentum_from: Share = 0.0  # the share of the training after which m rises


@dataclass(frozen=True, kw_only=True)
class MaskBlock(SlowCopy):
    """Options of every mixer whose masks are made by a block that is trained with the network, such as AutoMix."""

    # OpenMixup's for CIFAR; for ImageNet and CUB it has 0.99999 at the end, AutoMix's paper 1.
    last_momentum: Share = 0.999999
    momentum_from: Share = 0.1
    layer: int = 3  # stage of the network whose map the masks are made from, AutoMix's l; the stem is 0
    # Where the block's optimiser differs from the network's. OpenMixup has a rate of 0.1 for Tiny-ImageNet and 0.01 for
    # CUB, and no momentum for the wide ResNet. A rate of its own has no warm-up, as there.
    block_lr: Positive | None = None
    block_min_lr: NotNegative | None = None  # the value at which that rate ends
    block_momentum: ShareBelowOne | None = None


def common_options(pipeline: object, learns_masks: bool) -> dict[str, Any]:
    """Return the options that a mixer of this pipeline has besides its own, with their defaults."""
    kinds: list[type] = [EveryMixer]
    if learns_masks:
        kinds.append(MaskBlock)
    elif pipeline in ("mp", "mp_ce"):
        kinds.append(SlowCopy)
    return {option.name: option.default for kind in kinds for option in fields(kind)}


@dataclass(frozen=True, kw_only=True)
class AutoMixDefinition:
    """The preset of AutoMix's options: the paper's or the release's; a study writes it ``automix.preset``.

    No other mixer reads it, so that it may stand in the base of a study of several mixers.

    ``release`` is OpenMixup's for ResNets on CIFAR, except lambda and the loss of a mask's mean, which are each
    row's own unless ``mixer.per_batch`` and ``mixer.mask_loss="batch"`` say otherwise. ``paper`` is the paper's.
    """

    preset: Literal["paper", "release"] = "release"


# The changes that a preset makes to the defaults of ``automix``; every difference is an option of its own.
AUTOMIX_PRESETS: dict[str, dict[str, Any]] = {
    "release": {},
    "paper": {
        "lam_margin": 0.0,
        "lam_channel": True,
        "value_of": "query",
        "mask_decay": "linear",
        "mask_loss": "row",
        "last_momentum": 1.0,
        "momentum_from": 0.0,
    },
}
