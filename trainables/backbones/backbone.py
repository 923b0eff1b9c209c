"""What every backbone offers: stages that can be run one by one, features, and a linear head.

Shape letters: B batch, C channels, H height, W width, D features, L classes.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Init = Literal["om_table", "torch_default"]


class Backbone(nn.Module):
    """A convolutional network: ``stages`` one after another, the mean over the map, a linear ``head``."""

    def __init__(self, stages: Sequence[nn.Module], num_features: int, num_classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(num_features, num_classes)

    def encode(self, x: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """The feature map after stages ``first`` up to (not with) ``last``; (B, C, H, W) in and out."""
        for stage in self.stages[first:last]:
            x = stage(x)
        return x

    def pool(self, maps: Tensor) -> Tensor:
        """(B, D) features from the last stage's map (B, D, H, W)."""
        return maps.mean(dim=(2, 3))

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, D) from normalised images (B, C, H, W)."""
        return self.pool(self.encode(x))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L) logits from normalised images (B, C, H, W)."""
        return self.head(self.forward_features(x))


class Network(nn.Module):
    """A backbone that takes pixels in [0, 1] and normalises them itself.

    So mixing, saliency, occlusion and attacks all work on pixels, and only this class knows the
    mean and the standard deviation of the data set.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """(B, C, H, W) pixels in [0, 1] to zero mean and unit deviation per channel."""
        return (images - self.mean) / self.std

    def encode(self, images: Tensor, depth: int) -> Tensor:
        """Pixels (B, C, H, W) after ``depth`` stages of the backbone; 0 gives the pixels back."""
        return images if depth == 0 else self.backbone.encode(self.normalise(images), 0, depth)

    def forward_features(self, maps: Tensor, depth: int = 0) -> Tensor:
        """(B, D) from what ``encode`` returns: pixels, or maps that have been through ``depth`` stages."""
        if depth == 0:
            return self.backbone.forward_features(self.normalise(maps))
        return self.backbone.pool(self.backbone.encode(maps, depth))

    def head(self, features: Tensor) -> Tensor:
        """(B, L) logits from features (B, D)."""
        return self.backbone.head(features)

    def forward(self, images: Tensor) -> Tensor:
        """(B, L) logits from pixels (B, C, H, W)."""
        return self.head(self.forward_features(images))


def initialise(backbone: nn.Module, init: Init) -> None:
    """Set every weight of ``backbone`` in place, from torch's global generator.

    ``om_table`` is what the published CNN tables of OpenMixup were trained from: Kaiming-normal
    (fan out) convolutions, the last batch norm of each residual block at zero, a linear head from
    N(0, 0.01). ``torch_default`` leaves the constructors' values: later releases, and the SUMix
    code, train from those, although they compare with the former.
    """
    if init == "torch_default":
        return
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
    for module in backbone.modules():
        last_norm = getattr(module, "bn3", None) or getattr(module, "bn2", None)  # of a torchvision residual block
        if isinstance(last_norm, nn.BatchNorm2d):
            nn.init.zeros_(last_norm.weight)
