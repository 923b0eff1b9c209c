"""The weights of a residual network under the names that torchvision gives them, and back.

Other programs, Detectron2's converter among them, read a ``resnet50.pth`` with torchvision's names.
"""

import re
from collections.abc import Mapping

from torch import Tensor

STEM = {"0": "conv1", "1": "bn1"}  # the stem's layers that have weights, by their place
OURS = re.compile(r"stages\.(\d+)\.(.+)")
THEIRS = re.compile(r"layer(\d+)\.(.+)")


def exportable(backbone: str) -> bool:
    """Return whether a backbone is one of torchvision's residual networks."""
    return backbone.startswith(("resnet", "resnext")) and backbone.endswith("_imagenet")


def to_torchvision(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a ``model.pt`` under torchvision's names; raise ``ValueError`` for another network's."""
    return {_theirs(name): value for name, value in weights.items()}


def from_torchvision(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return torchvision's weights under the names of a ``model.pt``; raise ``ValueError`` for another network's."""
    return {_ours(name): value for name, value in weights.items()}


def _theirs(name: str) -> str:
    if name.startswith("head."):
        return f"fc.{name.removeprefix('head.')}"
    if found := OURS.fullmatch(name):
        stage, rest = found.groups()
        if stage != "0":
            return f"layer{stage}.{rest}"
        place, _, rest = rest.partition(".")
        if place in STEM:
            return f"{STEM[place]}.{rest}"
    raise ValueError(f"{name} is not a weight of one of torchvision's residual networks")


def _ours(name: str) -> str:
    if name.startswith("fc."):
        return f"head.{name.removeprefix('fc.')}"
    if found := THEIRS.fullmatch(name):
        return "stages.{}.{}".format(*found.groups())
    layer, _, rest = name.partition(".")
    for place, theirs in STEM.items():
        if layer == theirs:
            return f"stages.0.{place}.{rest}"
    raise ValueError(f"{name} is not a weight of one of torchvision's residual networks")
