"""The methods that train with a mixer: plain mixing, unless the mixer brings its own loss."""

from collections.abc import Mapping

import torch

from trainables.backbones.pretrained import Weights
from trainables.config import Config
from trainables.methods.adversarial_masks import AdAutoMixing
from trainables.methods.attention_extractor import AttentiveMixing
from trainables.methods.consistency import AugMixing
from trainables.methods.frozen_teacher import SuperMixing
from trainables.methods.mask_learning import AutoMixing
from trainables.methods.method import Method, Step
from trainables.methods.mixing import Mixing
from trainables.methods.momentum_pipeline import MomentumPipeline
from trainables.methods.network import build_network
from trainables.methods.scenario_agnostic import SAMixing
from trainables.methods.style_codec import StyleMixing
from trainables.methods.weight_average import WeightAverage
from trainables.mixers import learns_masks
from trainables.registry import Registry
from trainables.seeds import derive_seed

METHODS: Mapping[str, type[Mixing]] = Registry(
    __name__,
    {
        "adautomix": AdAutoMixing,
        "attentivemix": AttentiveMixing,
        "augmix": AugMixing,
        "automix": AutoMixing,
        "samix": SAMixing,
        "stylecutmix": StyleMixing,
        "stylemix": StyleMixing,
        "supermix": SuperMixing,
    },
)

__all__ = ["METHODS", "Method", "Step", "build_method", "build_network"]


def build_method(config: Config, seed: int, weights: Weights | None = None) -> Method:
    """Return the method of ``config`` on the CPU; its network starts the same whatever the method adds to it."""
    network = build_network(config, seed, weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init-method"))
        mixing = METHODS.get(config.mixer, Mixing)(network, config)
        method: Method = mixing
        if config.mixer_options["pipeline"] not in (None, "none") and not learns_masks(config.mixer):
            method = MomentumPipeline(mixing, config)
    return WeightAverage(method, config.ema) if config.ema else method
