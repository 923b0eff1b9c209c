"""The weights of a residual network under the names that torchvision gives them, and back.

Other programs, Detectron2's converter among them, read a ``resnet50.pth`` with torchvision's names.
"""

from collections.abc import Iterable, Mapping

from torch import Tensor

# The prefix of a name here, and torchvision's.
TO_TORCHVISION = (
    ("head.", "fc."),
    ("stages.0.0.", "conv1."),
    ("stages.0.1.", "bn1."),
    ("stages.1.", "layer1."),
    ("stages.2.", "layer2."),
    ("stages.3.", "layer3."),
    ("stages.4.", "layer4."),
)
FROM_TORCHVISION = tuple((theirs, ours) for ours, theirs in TO_TORCHVISION)


def exportable(backbone: str) -> bool:
    """Return whether a backbone is one of torchvision's residual networks."""
    return backbone.startswith(("resnet", "resnext")) and backbone.endswith("_imagenet")


def renamed(weights: Mapping[str, Tensor], beginnings: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    """Return the weights of a ``model.pt`` under torchvision's names, or the other way round.

    The prefixes are ``TO_TORCHVISION`` or ``FROM_TORCHVISION``. ``ValueError`` refuses another network's weights.
    """
    renamed = {}
    for name, value in weights.items():
        new = [after + name.removeprefix(before) for before, after in beginnings if name.startswith(before)]
        if not new:
            raise ValueError(f"{name} is not a weight of one of torchvision's residual networks")
        renamed[new[0]] = value
    return renamed
