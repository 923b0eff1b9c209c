"""MobileNetV2 and EfficientNet-B0, torchvision's, cut into stages of one resolution each; 7x7 map at 224 pixels.

Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018
(arXiv:1801.04381); Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019
(arXiv:1905.11946). The stem holds the first convolution and the first block, both at half the image's size.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn
from torchvision import models

from trainables.backbones.backbone import Backbone
from trainables.backbones.pretrained import Weights, torchvision_network

DROPOUT = 0.2  # before the head, as in both papers' code


def _in_stages(
    full: models.MobileNetV2 | models.EfficientNet,
    ends: Sequence[int],  # of the stages, in ``features``
    num_classes: int,
    in_channels: int,
    weights: Weights | None,
) -> Backbone:
    if in_channels != 3:
        full.features[0][0] = nn.Conv2d(in_channels, 32, 3, 2, padding=1, bias=False)
    features = torchvision_network(full, weights).features
    stages = [features[start:end] for start, end in pairwise((0, *ends))]
    return Backbone(stages, 1280, num_classes, neck=nn.Dropout(DROPOUT))


def mobilenet_v2(*, num_classes: int, in_channels: int = 3, weights: Weights | None = None) -> Backbone:
    """Build MobileNetV2 of width 1, 3.5 M parameters at 1000 classes."""
    return _in_stages(models.mobilenet_v2(), (2, 4, 7, 14, 19), num_classes, in_channels, weights)


def efficientnet_b0(
    *, num_classes: int, in_channels: int = 3, drop_path: float = 0.0, weights: Weights | None = None
) -> Backbone:
    """Build EfficientNet-B0, 5.3 M parameters at 1000 classes; the paper's drop-path is 0.2."""
    full = models.efficientnet_b0(stochastic_depth_prob=drop_path)
    return _in_stages(full, (2, 3, 4, 6, 9), num_classes, in_channels, weights)
