"""The presets of AutoMix's options: the paper's values and those of the release."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class AutoMixDefinition:
    """The preset of AutoMix's options: the paper's or the release's; a study writes it ``automix.preset``.

    No other mixer reads it, so that it may stand in the base of a study of several.

    ``release`` is OpenMixup's for ResNets on CIFAR, except lambda and the loss of a mask's mean, which are each
    row's own unless ``mixer.per_batch`` and ``mixer.mask_loss="batch"`` say otherwise. ``paper`` is the paper's.
    """

    preset: Literal["paper", "release"] = "release"


# The changes that a preset makes to the defaults of ``automix``; every difference is an option of its own.
PRESETS: dict[str, dict[str, Any]] = {
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
