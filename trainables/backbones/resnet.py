"""ResNets and ResNeXts: those of CIFAR, and torchvision's stages behind its own stem or one for small images.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv:1512.03385); Xie, Girshick,
Dollar, Tu, He, "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017 (arXiv:1611.05431). The small
stem is that of OpenMixup's ``ResNet_CIFAR``, which the CIFAR-100 and Tiny-ImageNet tables of SUMix and AutoMix use; the
last map of an image of 32 pixels is 4x4. That of a photograph of 224 pixels is 7x7. Networks for photographs have the
drop-path of "ResNet strikes back" (Wightman, Touvron, Jegou 2021, arXiv:2110.00476): it grows linearly with depth.
"""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from trainables.backbones.backbone import Backbone, layer_defaults
from trainables.backbones.pretrained import Weights, torchvision_network
from trainables.backbones.regularised import add_drop_path

Block = type[BasicBlock] | type[Bottleneck]


def small_stem(in_channels: int, width: int = 64) -> nn.Sequential:
    """Return a 3x3 convolution that keeps the size of an image, a batch norm and a ReLU."""
    conv = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


class PaddedShortcut(nn.Module):
    """The paper's option A: it takes every second pixel, and fills the new channels with zeros."""

    def __init__(self, stride: int, new_channels: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = new_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C + new channels, H / stride, W / stride)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


def _cifar_stage(blocks: int, in_width: int, width: int, stride: int) -> nn.Sequential:
    shortcut = PaddedShortcut(stride, width - in_width) if width != in_width else None
    first = BasicBlock(in_width, width, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))


def _cifar(depth: int, *, num_classes: int, in_channels: int = 3) -> Backbone:
    """Build the network of section 4.2: depth 6n + 2, widths 16, 32, 64, identity shortcuts."""
    blocks = (depth - 2) // 6
    stages = (
        small_stem(in_channels, 16),
        _cifar_stage(blocks, 16, 16, 1),
        _cifar_stage(blocks, 16, 32, 2),
        _cifar_stage(blocks, 32, 64, 2),
    )
    return Backbone(stages, num_features=64, num_classes=num_classes)


def _small(
    block: Block, blocks: list[int], *, num_classes: int, in_channels: int = 3, groups: int = 1, group_width: int = 64
) -> Backbone:
    full = layer_defaults(ResNet(block, blocks, groups=groups, width_per_group=group_width))
    return Backbone((small_stem(in_channels), *_stages(full)), 512 * block.expansion, num_classes)


def resnext29(*, num_classes: int, in_channels: int = 3) -> Backbone:
    """Build ResNeXt-29 4x24d of the paper's section 5.3 and of Co-Mixup: three stages, 8x8 map at 32 pixels, 4.9 M."""
    full = layer_defaults(ResNet(Bottleneck, [3, 3, 3, 1], groups=4, width_per_group=24))
    return Backbone((small_stem(in_channels), *_stages(full)[:3]), 1024, num_classes)


def _for_photographs(
    block: Block,
    blocks: list[int],
    *,
    num_classes: int,
    in_channels: int = 3,
    drop_path: float = 0.0,  # the probability to drop the last block
    weights: Weights | None = None,
    groups: int = 1,
    group_width: int = 64,
) -> Backbone:
    full = ResNet(block, blocks, groups=groups, width_per_group=group_width)
    if in_channels != 3:
        full.conv1 = nn.Conv2d(in_channels, 64, 7, 2, padding=3, bias=False)
    full = torchvision_network(full, weights)
    stem = nn.Sequential(full.conv1, full.bn1, full.relu, full.maxpool)
    backbone = Backbone((stem, *_stages(full)), 512 * block.expansion, num_classes)
    if drop_path > 0:
        add_drop_path(backbone, drop_path)
    return backbone


def _stages(full: ResNet) -> list[nn.Module]:
    return [full.layer1, full.layer2, full.layer3, full.layer4]


# constructor(num_classes=..., in_channels=3); millions of parameters
resnet8 = partial(_cifar, 8)  # 0.08: small enough to learn on a laptop's processor
resnet20 = partial(_cifar, 20)  # 0.27
resnet56 = partial(_cifar, 56)  # 0.85
resnet18 = partial(_small, BasicBlock, [2, 2, 2, 2])  # 11.2
resnet34 = partial(_small, BasicBlock, [3, 4, 6, 3])  # 21.3
resnet50 = partial(_small, Bottleneck, [3, 4, 6, 3])  # 23.7
resnext50 = partial(_small, Bottleneck, [3, 4, 6, 3], groups=32, group_width=4)  # 32x4d, 23.2

# constructor(num_classes=..., in_channels=3, drop_path=0.0, weights=None); millions of parameters at 1000 classes
resnet18_imagenet = partial(_for_photographs, BasicBlock, [2, 2, 2, 2])  # 11.7
resnet34_imagenet = partial(_for_photographs, BasicBlock, [3, 4, 6, 3])  # 21.8
resnet50_imagenet = partial(_for_photographs, Bottleneck, [3, 4, 6, 3])  # 25.6
resnet101_imagenet = partial(_for_photographs, Bottleneck, [3, 4, 23, 3])  # 44.5
resnet152_imagenet = partial(_for_photographs, Bottleneck, [3, 8, 36, 3])  # 60.2
resnext50_imagenet = partial(_for_photographs, Bottleneck, [3, 4, 6, 3], groups=32, group_width=4)  # 25.0
# The 32x4d of OpenMixup's tables, 44.2; torchvision has weights of wider ones only.
resnext101_imagenet = partial(_for_photographs, Bottleneck, [3, 4, 23, 3], groups=32, group_width=4)
