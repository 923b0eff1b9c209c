"""ResNets for small images: torchvision's stages behind a 3x3 stem without pooling, 4x4 map at 32 pixels.

He et al., CVPR 2016 (arXiv:1512.03385), with the stem of OpenMixup's ``ResNet_CIFAR``, which the
CIFAR-100 and Tiny-ImageNet tables of SUMix and AutoMix use.
"""

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from trainables.backbones.backbone import Backbone


def _resnet(block: type[BasicBlock] | type[Bottleneck], blocks: list[int], classes: int, in_channels: int) -> Backbone:
    full = ResNet(block, blocks)
    stem = nn.Sequential(
        nn.Conv2d(in_channels, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)
    )
    stages = (stem, full.layer1, full.layer2, full.layer3, full.layer4)
    return Backbone(stages, num_features=512 * block.expansion, num_classes=classes)


def resnet18(*, num_classes: int, in_channels: int = 3) -> Backbone:
    """ResNet-18 with a 3x3 stem, 11.2 M parameters."""
    return _resnet(BasicBlock, [2, 2, 2, 2], num_classes, in_channels)


def resnet34(*, num_classes: int, in_channels: int = 3) -> Backbone:
    """ResNet-34 with a 3x3 stem, 21.3 M parameters."""
    return _resnet(BasicBlock, [3, 4, 6, 3], num_classes, in_channels)


def resnet50(*, num_classes: int, in_channels: int = 3) -> Backbone:
    """ResNet-50 with a 3x3 stem, 23.7 M parameters."""
    return _resnet(Bottleneck, [3, 4, 6, 3], num_classes, in_channels)
