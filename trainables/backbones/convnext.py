"""ConvNeXt-T: torchvision's, and OpenMixup's variant of it for images of 32 pixels.

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022 (arXiv:2201.03545).
"""

from torch import nn
from torchvision import models

from trainables.backbones.backbone import Backbone
from trainables.backbones.pretrained import Weights, torchvision_network


class ConvNeXt(Backbone):
    """A convolutional network with weights drawn as a transformer's; a layer norm comes after the mean."""

    drawn_as = "transformer"


def _convnext(full: models.ConvNeXt, num_classes: int) -> ConvNeXt:
    parts = full.features  # the stem, then blocks and down-sampling in turn
    stages = (parts[0], parts[1], parts[2:4], parts[4:6], parts[6:8])
    neck = nn.LayerNorm(768, eps=1e-6)
    neck.load_state_dict(full.classifier[0].state_dict())
    return ConvNeXt(stages, 768, num_classes, neck)


def convnext_tiny(
    *, num_classes: int, in_channels: int = 3, drop_path: float = 0.0, weights: Weights | None = None
) -> Backbone:
    """Build ConvNeXt-T, 28.6 M parameters at 1000 classes; 7x7 map at 224 pixels. The paper's drop-path is 0.1."""
    full = models.convnext_tiny(stochastic_depth_prob=drop_path)
    if in_channels != 3:
        full.features[0][0] = nn.Conv2d(in_channels, 96, 4, 4)
    return _convnext(torchvision_network(full, weights), num_classes)


def convnext_tiny_cifar(*, num_classes: int, in_channels: int = 3, drop_path: float = 0.0) -> Backbone:
    """Build ConvNeXt-T with a 3x3 stem of stride 1, 27.9 M parameters at 100 classes; 4x4 map at 32 pixels."""
    full = models.convnext_tiny(stochastic_depth_prob=drop_path)
    full.features[0][0] = nn.Conv2d(in_channels, 96, 3, padding=1)
    return _convnext(torchvision_network(full, None), num_classes)
