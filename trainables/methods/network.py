"""The network of a configuration, before anything is trained."""

import inspect
from typing import Any

import torch

from trainables.backbones.backbone import Network, initialise, initialise_head
from trainables.backbones.names import RESIDUAL, constructor_of
from trainables.backbones.pretrained import Weights
from trainables.backbones.regularised import add_drop_block, add_drop_path
from trainables.config import Config
from trainables.datasets.dataset import Dataset
from trainables.seeds import derive_seed


def build_network(config: Config, dataset: Dataset, seed: int = 0, weights: Weights | None = None) -> Network:
    """Return the network of ``config`` on the CPU, drawn from ``seed`` alone or, all but its head, with ``weights``."""
    channels, height, _ = dataset.image_shape
    options: dict[str, Any] = {"image_size": height, "drop_path": config.drop_path}
    constructor = constructor_of(config.backbone)
    options = {key: value for key, value in options.items() if key in inspect.signature(constructor).parameters}
    if weights is not None:
        options["weights"] = weights
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        backbone = constructor(num_classes=dataset.num_classes, in_channels=channels, **options)
        (initialise if weights is None else initialise_head)(backbone, config.init)
    if config.drop_path and config.backbone in RESIDUAL:
        add_drop_path(backbone, config.drop_path)
    if config.drop_block:
        add_drop_block(backbone, config.drop_block, config.drop_block_size)
    return Network(backbone, dataset.mean, dataset.std)
