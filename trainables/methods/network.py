"""The network of a configuration, before anything is trained, and files of weights that a mixer's option names."""

import inspect
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from trainables.backbones.backbone import Backbone, Network, initialise, initialise_head
from trainables.backbones.names import RESIDUAL, constructor_of
from trainables.backbones.pretrained import Weights
from trainables.backbones.regularised import add_drop_block, add_drop_path
from trainables.config import Config
from trainables.datasets.opening import dataset_of
from trainables.refusals import first_line
from trainables.seeds import derive_seed

UNREADABLE = (OSError, RuntimeError, pickle.UnpicklingError, TypeError, AttributeError, LookupError, ValueError)


def build_network(config: Config, seed: int = 0, weights: Weights | None = None) -> Network:
    """Return the network of ``config`` on the CPU, drawn from ``seed`` alone or, all but its head, with ``weights``."""
    dataset = dataset_of(config)
    channels, height, _ = dataset.image_shape
    options = {"image_size": height, "drop_path": config.drop_path}
    required: dict[str, Any] = {"num_classes": dataset.num_classes, "in_channels": channels}
    if weights is not None:
        required["weights"] = weights
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        backbone = _constructed(config.backbone, required, options)
        (initialise if weights is None else initialise_head)(backbone, config.init)
    if config.drop_path and config.backbone in RESIDUAL:
        add_drop_path(backbone, config.drop_path)
    if config.drop_block:
        add_drop_block(backbone, config.drop_block, config.drop_block_size)
    return Network(backbone, dataset.mean, dataset.std)


def _constructed(name: str, required: Mapping[str, Any], options: Mapping[str, Any]) -> Backbone:
    """Return the backbone, which a user may have written; ``options`` are those that its constructor may take.

    ``ValueError`` says what it lacks to be trained.
    """
    constructor = constructor_of(name)
    try:
        signature = inspect.signature(constructor)
        given = {**required, **{key: value for key, value in options.items() if key in signature.parameters}}
        signature.bind(**given)
    except TypeError as error:
        raise ValueError(f"backbone {name!r} must be a function of {' and '.join(required)} ({error})") from None
    backbone = constructor(**given)
    if not isinstance(backbone, Backbone):
        raise ValueError(f"backbone {name!r} must return a Backbone, got {type(backbone).__name__}")
    head, classes = getattr(backbone, "head", None), required["num_classes"]
    if not isinstance(head, nn.Linear) or head.out_features != classes:
        raise ValueError(f"the head of backbone {name!r} must be a torch.nn.Linear to {classes} classes, got {head}")
    return backbone


@contextmanager
def weights_in(file: str, option: str, content: str) -> Iterator[Any]:
    """Yield the weights in a file; raise ``ValueError``, one sentence, if they cannot be read or used in the block.

    The message says that ``option``, which names the file, must hold ``content``; such weights are never trained.
    """
    try:
        yield torch.load(file, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"{option} must hold {content}, got {file!r}: {first_line(error)}") from None
