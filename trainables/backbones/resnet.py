"""ResNets and ResNeXts for small images: torchvision's stages behind a 3x3 stem without pooling.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv:1512.03385); Xie, Girshick,
Dollar, Tu, He, "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017 (arXiv:1611.05431).
The stem is that of OpenMixup's ``ResNet_CIFAR``, which the CIFAR-100 and Tiny-ImageNet tables of SUMix and
AutoMix use; the last map of an image of 32 pixels is 4x4.
"""

from functools import partial

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from trainables.backbones.backbone import Backbone, layer_defaults


def small_stem(in_channels: int, width: int = 64) -> nn.Sequential:
    """Return a 3x3 convolution that keeps the size of an image, a batch norm and a ReLU."""
    conv = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def _resnet(
    block: type[BasicBlock] | type[Bottleneck],
    blocks: list[int],
    *,
    num_classes: int,
    in_channels: int = 3,
    groups: int = 1,
    group_width: int = 64,
) -> Backbone:
    full = layer_defaults(ResNet(block, blocks, groups=groups, width_per_group=group_width))
    stages = (small_stem(in_channels), full.layer1, full.layer2, full.layer3, full.layer4)
    return Backbone(stages, num_features=512 * block.expansion, num_classes=num_classes)


# constructor(num_classes=..., in_channels=3); millions of parameters
resnet18 = partial(_resnet, BasicBlock, [2, 2, 2, 2])  # 11.2
resnet34 = partial(_resnet, BasicBlock, [3, 4, 6, 3])  # 21.3
resnet50 = partial(_resnet, Bottleneck, [3, 4, 6, 3])  # 23.7
resnext50 = partial(_resnet, Bottleneck, [3, 4, 6, 3], groups=32, group_width=4)  # 32x4d, 23.2


def resnext29(*, num_classes: int, in_channels: int = 3) -> Backbone:
    """Build ResNeXt-29 4x24d of the paper's section 5.3 and of Co-Mixup: three stages, 8x8 map at 32 pixels, 4.9 M."""
    full = layer_defaults(ResNet(Bottleneck, [3, 3, 3, 1], groups=4, width_per_group=24))
    stages = (small_stem(in_channels), full.layer1, full.layer2, full.layer3)
    return Backbone(stages, num_features=1024, num_classes=num_classes)
