"""ResNets and ResNeXts for images of 160 pixels and more: torchvision's, cut into stages; 7x7 map at 224 pixels.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv:1512.03385); Xie, Girshick,
Dollar, Tu, He, "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017 (arXiv:1611.05431). Drop-path
is that of "ResNet strikes back" (Wightman, Touvron, Jegou 2021, arXiv:2110.00476): it grows linearly with depth.
"""

from functools import partial

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from trainables.backbones.backbone import Backbone
from trainables.backbones.pretrained import Weights, torchvision_network
from trainables.backbones.regularised import add_drop_path


def _resnet(
    block: type[BasicBlock] | type[Bottleneck],
    blocks: list[int],
    *,
    num_classes: int,
    in_channels: int = 3,
    drop_path: float = 0.0,
    weights: Weights | None = None,
    groups: int = 1,
    group_width: int = 64,
) -> Backbone:
    """Build the network; ``drop_path`` is the probability to drop the last block, ``weights`` are torchvision's."""
    full = ResNet(block, blocks, groups=groups, width_per_group=group_width)
    if in_channels != 3:
        full.conv1 = nn.Conv2d(in_channels, 64, 7, 2, padding=3, bias=False)
    full = torchvision_network(full, weights)
    stem = nn.Sequential(full.conv1, full.bn1, full.relu, full.maxpool)
    stages = (stem, full.layer1, full.layer2, full.layer3, full.layer4)
    backbone = Backbone(stages, num_features=512 * block.expansion, num_classes=num_classes)
    if drop_path > 0:
        add_drop_path(backbone, drop_path)
    return backbone


# constructor(num_classes=..., in_channels=3, drop_path=0.0, weights=None); millions of parameters at 1000 classes
resnet18_imagenet = partial(_resnet, BasicBlock, [2, 2, 2, 2])  # 11.7
resnet34_imagenet = partial(_resnet, BasicBlock, [3, 4, 6, 3])  # 21.8
resnet50_imagenet = partial(_resnet, Bottleneck, [3, 4, 6, 3])  # 25.6
resnet101_imagenet = partial(_resnet, Bottleneck, [3, 4, 23, 3])  # 44.5
resnet152_imagenet = partial(_resnet, Bottleneck, [3, 8, 36, 3])  # 60.2
resnext50_imagenet = partial(_resnet, Bottleneck, [3, 4, 6, 3], groups=32, group_width=4)  # 25.0
# The 32x4d of OpenMixup's tables, 44.2; torchvision has weights of wider ones only.
resnext101_imagenet = partial(_resnet, Bottleneck, [3, 4, 23, 3], groups=32, group_width=4)
