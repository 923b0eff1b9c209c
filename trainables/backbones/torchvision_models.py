"""Networks of torchvision, cut into stages: MobileNetV2, EfficientNet-B0, ConvNeXt-T and Swin-T; 7x7 map at 224 pixels.

Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018
(arXiv:1801.04381); Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019
(arXiv:1905.11946); Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022 (arXiv:2201.03545);
Liu, Lin, Cao, Hu, Wei, Zhang, Lin, Guo, "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV
2021 (arXiv:2103.14030).
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torchvision import models
from torchvision.ops import Permute

from trainables.backbones.backbone import Backbone
from trainables.backbones.pretrained import Weights, torchvision_network

DROPOUT = 0.2  # before the head of MobileNetV2 and EfficientNet-B0, as in both papers' code


class DrawnAsTransformer(Backbone):
    """A network whose weights are drawn as a transformer's; its tokens are the positions of a map (B, D, h, w)."""

    drawn_as = "transformer"


class ChannelsFirst(nn.Sequential):
    """Layers that take and return (B, H, W, C), between maps of (B, C, H, W); only the strides change."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to a map in the same order of axes."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _mobile(
    full: models.MobileNetV2 | models.EfficientNet,
    ends: Sequence[int],  # where each stage ends in ``features``; the stem is the first convolution and the first block
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
    return _mobile(models.mobilenet_v2(), (2, 4, 7, 14, 19), num_classes, in_channels, weights)


def efficientnet_b0(
    *, num_classes: int, in_channels: int = 3, drop_path: float = 0.0, weights: Weights | None = None
) -> Backbone:
    """Build EfficientNet-B0, 5.3 M parameters at 1000 classes; the paper's drop-path is 0.2."""
    full = models.efficientnet_b0(stochastic_depth_prob=drop_path)
    return _mobile(full, (2, 3, 4, 6, 9), num_classes, in_channels, weights)


def convnext_tiny(
    *, num_classes: int, in_channels: int = 3, drop_path: float = 0.0, weights: Weights | None = None
) -> Backbone:
    """Build ConvNeXt-T, 28.6 M parameters at 1000 classes. The paper's drop-path is 0.1."""
    full = models.convnext_tiny(stochastic_depth_prob=drop_path)
    if in_channels != 3:
        full.features[0][0] = nn.Conv2d(in_channels, 96, 4, 4)
    return _convnext(full, num_classes, weights)


def convnext_tiny_cifar(*, num_classes: int, in_channels: int = 3, drop_path: float = 0.0) -> Backbone:
    """Build OpenMixup's ConvNeXt-T, whose stem is 3x3 of stride 1, 27.9 M at 100 classes; 4x4 map at 32 pixels."""
    full = models.convnext_tiny(stochastic_depth_prob=drop_path)
    full.features[0][0] = nn.Conv2d(in_channels, 96, 3, padding=1)
    return _convnext(full, num_classes, None)


def _convnext(full: models.ConvNeXt, num_classes: int, weights: Weights | None) -> Backbone:
    full = torchvision_network(full, weights)
    parts = full.features  # the stem, then blocks and down-sampling in turn
    stages = (parts[0], parts[1], parts[2:4], parts[4:6], parts[6:8])
    neck = nn.LayerNorm(768, eps=1e-6)  # applied to the mean over the map
    neck.load_state_dict(full.classifier[0].state_dict())
    return DrawnAsTransformer(stages, 768, num_classes, neck)


def swin_tiny(
    *, num_classes: int, in_channels: int = 3, drop_path: float = 0.0, weights: Weights | None = None
) -> Backbone:
    """Build Swin-T, 28.3 M parameters at 1000 classes; the paper's drop-path is 0.2. Any size is padded to windows.

    Stage 0 cuts the image into patches of 4x4 pixels; the last stage ends in the layer norm. There is no class token.
    """
    full = models.SwinTransformer([4, 4], 96, [2, 2, 6, 2], [3, 6, 12, 24], [7, 7], stochastic_depth_prob=drop_path)
    if in_channels != 3:
        full.features[0][0] = nn.Conv2d(in_channels, 96, 4, 4)
    full = torchvision_network(full, weights)
    parts = full.features  # the patches, then blocks and merging in turn
    stages = (
        nn.Sequential(parts[0], Permute([0, 3, 1, 2])),
        ChannelsFirst(parts[1]),
        ChannelsFirst(parts[2], parts[3]),
        ChannelsFirst(parts[4], parts[5]),
        ChannelsFirst(parts[6], parts[7], full.norm),
    )
    return DrawnAsTransformer(stages, 768, num_classes)
