"""Residual networks of pre-activation blocks: the wide ones, of widths 16, 16k, 32k, 64k, and PreAct-ResNet-18.

Zagoruyko, Komodakis, "Wide Residual Networks", BMVC 2016 (arXiv:1605.07146); He, Zhang, Ren, Sun, "Identity Mappings in
Deep Residual Networks", ECCV 2016 (arXiv:1603.05027).

The CIFAR-100 tables of SUMix and AutoMix use ``wrn28_8``, OpenMixup's copy of FixMatch's variant: its
convolutions have a bias, its batch norms forget slowly (momentum 0.001, so that a short run is tested with
statistics of its beginning) and its activation leaks. The others are the paper's.
"""

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from trainables.backbones.backbone import Backbone


@dataclass(frozen=True)
class Variant:
    """The settings in which OpenMixup's network and the paper's differ."""

    conv_bias: bool = False
    norm_momentum: float = 0.1
    norm_eps: float = 1e-5
    leak: float = 0.0  # the slope of the activation below zero
    first_shortcut_only: bool = False  # only the first 1x1 shortcut is applied to the activated map, not all

    def norm(self, width: int) -> nn.BatchNorm2d:
        """Return a batch norm of ``width`` channels."""
        return nn.BatchNorm2d(width, eps=self.norm_eps, momentum=self.norm_momentum)

    def activation(self) -> nn.Module:
        """Return the activation."""
        return nn.LeakyReLU(self.leak) if self.leak else nn.ReLU()

    def conv(self, width: int, out_width: int, size: int, stride: int = 1) -> nn.Conv2d:
        """Return a convolution that keeps the map's size, except for its stride."""
        return nn.Conv2d(width, out_width, size, stride, padding=size // 2, bias=self.conv_bias)


PAPER = Variant()
FIXMATCH = Variant(conv_bias=True, norm_momentum=0.001, norm_eps=0.001, leak=0.1, first_shortcut_only=True)
WIDER = 8  # k


class Block(nn.Module):
    """Two 3x3 convolutions, each after a batch norm and the activation."""

    def __init__(self, width: int, out_width: int, stride: int, variant: Variant, *, activate_shortcut: bool) -> None:
        super().__init__()
        self.norm1 = variant.norm(width)
        self.conv1 = variant.conv(width, out_width, 3, stride)
        self.norm2 = variant.norm(out_width)
        self.conv2 = variant.conv(out_width, out_width, 3)
        self.act = variant.activation()
        self.shortcut = nn.Identity() if width == out_width else variant.conv(width, out_width, 1, stride)
        self.activate_shortcut = activate_shortcut and width != out_width

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out width, H / stride, W / stride)."""
        active = self.act(self.norm1(x))
        branch = self.conv2(self.act(self.norm2(self.conv1(active))))
        return branch + self.shortcut(active if self.activate_shortcut else x)


def _stage(blocks: int, width: int, out_width: int, stride: int, variant: Variant, first: bool) -> list[nn.Module]:
    activate = first or not variant.first_shortcut_only
    head = Block(width, out_width, stride, variant, activate_shortcut=activate)
    return [head, *(Block(out_width, out_width, 1, variant, activate_shortcut=False) for _ in range(blocks - 1))]


def _wrn(depth: int, variant: Variant, *, num_classes: int, in_channels: int = 3) -> Backbone:
    blocks = (depth - 4) // 6
    widths = (16, 16 * WIDER, 32 * WIDER, 64 * WIDER)
    last = (variant.norm(widths[3]), variant.activation())
    stages = (
        variant.conv(in_channels, 16, 3),
        nn.Sequential(*_stage(blocks, widths[0], widths[1], 1, variant, first=True)),
        nn.Sequential(*_stage(blocks, widths[1], widths[2], 2, variant, first=False)),
        nn.Sequential(*_stage(blocks, widths[2], widths[3], 2, variant, first=False), *last),
    )
    return Backbone(stages, num_features=widths[3], num_classes=num_classes)


# constructor(num_classes=..., in_channels=3), none with dropout; millions of parameters
wrn28_8 = partial(_wrn, 28, FIXMATCH)  # 23.4
wrn28_8_paper = partial(_wrn, 28, PAPER)  # 23.4
wrn16_8 = partial(_wrn, 16, PAPER)  # 11.0: a network in the tables of Co-Mixup and the K-image paper


def preact_resnet18(*, num_classes: int, in_channels: int = 3) -> Backbone:
    """Build PreAct-ResNet-18, 11.2 M parameters: the network of Manifold Mixup, PuzzleMix, Co-Mixup and AlignMixup.

    The mixup papers' code pools the last block's sum as it is; here a batch norm and a ReLU come between, as in He
    et al., which adds 1024 parameters.
    """
    last = (PAPER.norm(512), PAPER.activation())
    stages = (
        PAPER.conv(in_channels, 64, 3),
        nn.Sequential(*_stage(2, 64, 64, 1, PAPER, first=True)),
        nn.Sequential(*_stage(2, 64, 128, 2, PAPER, first=False)),
        nn.Sequential(*_stage(2, 128, 256, 2, PAPER, first=False)),
        nn.Sequential(*_stage(2, 256, 512, 2, PAPER, first=False), *last),
    )
    return Backbone(stages, num_features=512, num_classes=num_classes)
