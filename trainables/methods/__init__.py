"""Which method trains with which mixer: plain mixing, unless the mixer brings its own loss."""

import torch
from torch import Generator
from torch._subclasses.fake_tensor import FakeTensorMode

from trainables.backbones import BACKBONES
from trainables.backbones.backbone import Network, initialise
from trainables.config import Config
from trainables.datasets.dataset import Dataset
from trainables.methods.augmix import AugMixing
from trainables.methods.method import Method, Step
from trainables.methods.mixing import Mixing
from trainables.methods.supermix import SuperMixing
from trainables.seeds import derive_seed

METHODS: dict[str, type[Mixing]] = {
    "augmix": AugMixing,
    "supermix": SuperMixing,
}

__all__ = ["METHODS", "Method", "Step", "build_method", "build_network", "rehearse"]


def build_network(config: Config, dataset: Dataset, seed: int = 0) -> Network:
    """The network of ``config`` on the CPU, its weights drawn from ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        backbone = BACKBONES[config.backbone](num_classes=dataset.num_classes, in_channels=dataset.image_shape[0])
        initialise(backbone, config.init)
    return Network(backbone, dataset.mean, dataset.std)


def build_method(config: Config, dataset: Dataset, seed: int) -> Method:
    """The method of ``config`` on the CPU; its network starts the same whatever the method adds to it."""
    network = build_network(config, dataset, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init-method"))
        return METHODS.get(config.mixer, Mixing)(network, config, dataset.num_classes)


def rehearse(config: Config, dataset: Dataset) -> None:
    """Raise the ``ValueError`` that a training step of ``config`` would raise, without computing anything.

    One step on a batch of two, on tensors that have a shape but no numbers: a fraction of a second, and no
    memory. It finds what no single option shows, such as a layer that the network does not have, or a mixer
    that needs a class token.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        method = build_method(config, dataset, 0).train()
        loss, _ = method(torch.rand(2, *dataset.image_shape), torch.zeros(2, dtype=torch.long), Generator())
        loss.backward()
