"""The CIFAR ResNets: depth 6n + 2, widths 16, 32, 64, identity shortcuts.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2 (arXiv:1512.03385).
"""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from trainables.backbones.backbone import Backbone
from trainables.backbones.resnet import small_stem


class PaddedShortcut(nn.Module):
    """The paper's option A: it takes every second pixel, and fills the new channels with zeros."""

    def __init__(self, stride: int, new_channels: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = new_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C + new channels, H / stride, W / stride)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


def _stage(blocks: int, in_width: int, width: int, stride: int) -> nn.Sequential:
    shortcut = PaddedShortcut(stride, width - in_width) if width != in_width else None
    first = BasicBlock(in_width, width, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))


def _resnet(depth: int, *, num_classes: int, in_channels: int = 3) -> Backbone:
    blocks = (depth - 2) // 6
    stages = (
        small_stem(in_channels, 16),
        _stage(blocks, 16, 16, 1),
        _stage(blocks, 16, 32, 2),
        _stage(blocks, 32, 64, 2),
    )
    return Backbone(stages, num_features=64, num_classes=num_classes)


# constructor(num_classes=..., in_channels=3); millions of parameters
resnet8 = partial(_resnet, 8)  # 0.08: small enough to learn on a laptop's processor
resnet20 = partial(_resnet, 20)  # 0.27
resnet56 = partial(_resnet, 56)  # 0.85
