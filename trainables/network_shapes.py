"""Finds the shapes of a network's maps, by running it on torch's device ``meta``, whose tensors have no numbers.

A network that a user wrote may read numbers back, such as to skip a part of itself, which that device refuses: it is
run on the processor instead.

Shape letters: B batch, C channels, H height, W width, D features.
"""

import contextlib
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.opening import dataset_of
from trainables.methods.network import build_network
from trainables.refusals import refused

_tried: dict[Hashable, "Tried"] = {}  # the results of ``tried``


class Undrawn(TorchFunctionMode):
    """Sets tensors to zero instead of drawing their numbers, which takes seconds for the weights of a large network."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``function``, or zero its tensor if it would draw, as ``nn.init.kaiming_normal_`` does."""
        kwargs = kwargs or {}
        if function.__name__.endswith(("normal_", "uniform_")):
            return nn.init.zeros_(args[0] if args else kwargs["tensor"])
        return function(*args, **kwargs)


class Unnormalised(TorchFunctionMode):
    """Leaves out batch norm, which changes no shape, and which torch computes in Python where there are no numbers."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``function``, or return its images if it is ``F.batch_norm``."""
        return args[0] if function is nn.functional.batch_norm else function(*args, **(kwargs or {}))


class Tried(NamedTuple):
    """A network with undrawn weights, and the shapes of its maps for an image."""

    network: Network
    shapes: tuple[torch.Size, ...]  # an image's (C, H, W), and its map's after each stage

    @property
    def device(self) -> torch.device:
        """Return the device of the network, ``meta`` unless it reads numbers back."""
        return self.network.mean.device


def tried(config: Config) -> Tried:
    """Return the network, which is built and run once for all configurations whose networks have the same shapes.

    ``ValueError`` refuses a network that cannot be built for images of this size, or cannot be run on them.
    """
    key = network_key(config)
    if key not in _tried:
        try:
            _tried[key] = _try(config, torch.device("meta"))
        except ValueError as error:
            if "meta" not in str(error):  # the device whose tensors have no numbers to be read
                raise
            _tried[key] = _try(config, torch.device("cpu"))
    return _tried[key]


def _try(config: Config, device: torch.device) -> Tried:
    """Return what ``tried`` does; each stage runs as in testing, and the whole network as in training."""
    name = repr(config.backbone)
    with device, Undrawn(), refused(f"backbone {name} cannot be built"):
        network = build_network(config)
    backbone = network.backbone.eval()
    with device, _seen(config, dataset_of(config).image_shape[1]) as images:
        maps, shapes = images, [images.shape[1:]]
        for number, stage in enumerate(backbone.stages):
            maps = stage(maps)
            grid = backbone.grid(maps)
            _require_axes(f"stage {number} of {name}", grid, "(B, C, H, W)", 4)
            shapes.append(grid.shape[1:])
        features = backbone.train().forward_features(images)
        _require_axes(f"forward_features of {name}", features, "(B, D)", 2)
        if features.shape[1] != (width := backbone.head.in_features):
            raise ValueError(f"num_features of {name} must be {features.shape[1]}, as its features have, got {width}")
        backbone.head(features)
    return Tried(network, tuple(shapes))


def _require_axes(what: str, found: object, valid: str, axes: int) -> None:
    """Raise ``ValueError`` unless ``found`` is a tensor of so many axes; ``valid`` names them."""
    if not isinstance(found, Tensor) or found.ndim != axes:
        got = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"{what} must return {valid}, got {got}")


def check_test_size(config: Config) -> None:
    """Raise ``ValueError`` if the network cannot be tested on images of ``test_size``, which it is not built for."""
    if config.tested_side != config.side:
        found = tried(config)
        with found.device, _seen(config, config.tested_side) as images:
            found.network.backbone.eval()(images)


@contextlib.contextmanager
def _seen(config: Config, side: int) -> Iterator[Tensor]:
    """Yield two images (B, C, H, W) of this side; ``ValueError`` says why the network cannot be run on them."""
    what = f"backbone {config.backbone!r} cannot see images of {side}x{side} pixels"
    with torch.no_grad(), Unnormalised(), refused(what):
        yield torch.rand(2, dataset_of(config).image_shape[0], side, side)


def network_key(config: Config) -> Hashable:
    """Return the settings that decide the shapes in a network."""
    dataset = dataset_of(config)
    return config.backbone, config.drop_path > 0, dataset.image_shape, dataset.num_classes
