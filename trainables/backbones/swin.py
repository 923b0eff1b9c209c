"""Swin-T: torchvision's shifted-window transformer; 7x7 map at 224 pixels.

Liu, Lin, Cao, Hu, Wei, Zhang, Lin, Guo, "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
ICCV 2021 (arXiv:2103.14030). It has no class token: its tokens are the positions of a map, (B, D, h, w) between stages.
"""

from torch import Tensor, nn
from torchvision import models
from torchvision.ops import Permute

from trainables.backbones.backbone import Backbone
from trainables.backbones.pretrained import Weights, torchvision_network


class ChannelsFirst(nn.Sequential):
    """Layers that take and return (B, H, W, C), between maps of (B, C, H, W); only the strides change."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to a map in the same order of axes."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Swin(Backbone):
    """Stage 0 cuts the image into patches of 4x4 pixels; the last stage ends in the layer norm."""

    drawn_as = "transformer"


def swin_tiny(
    *, num_classes: int, in_channels: int = 3, drop_path: float = 0.0, weights: Weights | None = None
) -> Backbone:
    """Build Swin-T, 28.3 M parameters at 1000 classes; the paper's drop-path is 0.2. Any size is padded to windows."""
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
    return Swin(stages, 768, num_classes)
