"""PreAct-ResNet-18 for small images: the network of Manifold Mixup, PuzzleMix, Co-Mixup and AlignMixup.

He, Zhang, Ren, Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016 (arXiv:1603.05027).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from trainables.backbones.backbone import Backbone


class Block(nn.Module):
    """Two 3x3 convolutions, each after a batch norm and a ReLU; a 1x1 shortcut where the shape changes."""

    def __init__(self, width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, out_width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_width)
        self.conv2 = nn.Conv2d(out_width, out_width, 3, padding=1, bias=False)
        changes = stride != 1 or width != out_width
        self.shortcut = nn.Conv2d(width, out_width, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out width, H / stride, W / stride)."""
        active = F.relu(self.norm1(x))
        branch = self.conv2(F.relu(self.norm2(self.conv1(active))))
        return branch + (x if self.shortcut is None else self.shortcut(active))


def preact_resnet18(*, num_classes: int, in_channels: int = 3) -> Backbone:
    """Build PreAct-ResNet-18 with a 3x3 stem, 11.2 M parameters.

    The mixup papers' code pools the last block's sum as it is; here a batch norm and a ReLU come between, as in He
    et al., which adds 1024 parameters.
    """
    stages = (
        nn.Conv2d(in_channels, 64, 3, padding=1, bias=False),
        nn.Sequential(Block(64, 64, 1), Block(64, 64, 1)),
        nn.Sequential(Block(64, 128, 2), Block(128, 128, 1)),
        nn.Sequential(Block(128, 256, 2), Block(256, 256, 1)),
        nn.Sequential(Block(256, 512, 2), Block(512, 512, 1), nn.BatchNorm2d(512), nn.ReLU()),
    )
    return Backbone(stages, num_features=512, num_classes=num_classes)
