"""PyramidNet: a ResNet in which every block is a little wider than the one before.

Han, Kim, Kim, "Deep Pyramidal Residual Networks", CVPR 2017 (arXiv:1610.02915): bottleneck blocks, from 16 to
16 + alpha channels by equal steps, as CutMix and the K-image paper train them.
"""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from trainables.backbones.backbone import Backbone

EXPANSION = 4  # the ratio of a block's output width to its inner width


class Block(nn.Module):
    """A block with batch norm first and no ReLU before the first convolution; its shortcut is pooling and zeros."""

    def __init__(self, width: int, inner: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Conv2d(width, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner * EXPANSION, 1, bias=False),
            nn.BatchNorm2d(inner * EXPANSION),
        )
        self.stride = stride
        self.new_channels = inner * EXPANSION - width

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 4 x inner, H / stride, W / stride)."""
        shortcut = x if self.stride == 1 else F.avg_pool2d(x, self.stride, ceil_mode=True)
        return self.branch(x) + F.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))


def _pyramidnet(depth: int, alpha: int, *, num_classes: int, in_channels: int = 3) -> Backbone:
    blocks = (depth - 2) // 9  # in each stage
    stem = nn.Sequential(nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
    stages: list[nn.Module] = [stem]
    width, exact = 16, 16.0
    for stage in range(3):
        made = []
        for block in range(blocks):
            exact += alpha / (3 * blocks)
            made.append(Block(width, round(exact), stride=2 if stage > 0 and block == 0 else 1))
            width = round(exact) * EXPANSION
        stages.append(nn.Sequential(*made))
    stages[-1] = nn.Sequential(*made, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
    return Backbone(stages, num_features=width, num_classes=num_classes)


# constructor(num_classes=..., in_channels=3), with alpha; millions of parameters
pyramidnet110 = partial(_pyramidnet, 110, 64)  # 1.7
pyramidnet200 = partial(_pyramidnet, 200, 240)  # 26.8
