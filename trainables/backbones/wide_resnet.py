"""Residual networks of pre-activation blocks: the wide ones, of widths 16, 16k, 32k, 64k, and PreAct-ResNet-18.

Zagoruyko, Komodakis, "Wide Residual Networks", BMVC 2016 (arXiv:1605.07146); He, Zhang, Ren, Sun, "Identity Mappings in
Deep Residual Networks", ECCV 2016 (arXiv:1603.05027).

The CIFAR-100 tables of SUMix and AutoMix use ``wrn28_8``, OpenMixup's copy of FixMatch's variant: its convolutions have
a bias, its batch norms forget slowly (momentum 0.001, so that a short run is tested with statistics of its beginning)
and its activation leaks. The others are the paper's. In Co-Mixup's code a block of ``wrn16_8`` halves the map by its
second convolution and has no activation before a shortcut, convolutions have a bias, and the last batch norm has
momentum 0.9.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

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


def _network(
    depth: int,  # blocks in each stage
    widths: tuple[int, ...],  # the stem's and each stage's; every stage but the first halves the map
    variant: Variant,
    *,
    num_classes: int,
    in_channels: int = 3,
) -> Backbone:
    stages: list[nn.Module] = [variant.conv(in_channels, widths[0], 3)]
    for width, out_width in pairwise(widths):
        first = len(stages) == 1
        activate = first or not variant.first_shortcut_only
        blocks = [Block(width, out_width, 1 if first else 2, variant, activate_shortcut=activate)]
        blocks += [Block(out_width, out_width, 1, variant, activate_shortcut=False) for _ in range(depth - 1)]
        stages.append(nn.Sequential(*blocks))
    stages[-1] = nn.Sequential(*blocks, variant.norm(widths[-1]), variant.activation())
    return Backbone(stages, num_features=widths[-1], num_classes=num_classes)


def _wrn(depth: int, variant: Variant, *, num_classes: int, in_channels: int = 3) -> Backbone:
    widths = (16, 16 * WIDER, 32 * WIDER, 64 * WIDER)
    return _network((depth - 4) // 6, widths, variant, num_classes=num_classes, in_channels=in_channels)


# constructor(num_classes=..., in_channels=3), none with dropout; millions of parameters
wrn28_8 = partial(_wrn, 28, FIXMATCH)  # 23.4
wrn28_8_paper = partial(_wrn, 28, PAPER)  # 23.4
wrn16_8 = partial(_wrn, 16, PAPER)  # 11.0: a network in the tables of Co-Mixup and the K-image paper


def preact_resnet18(*, num_classes: int, in_channels: int = 3) -> Backbone:
    """Build PreAct-ResNet-18, 11.2 M parameters: the network of Manifold Mixup, PuzzleMix, Co-Mixup and AlignMixup.

    The mixup papers' code pools the last block's sum as it is; here a batch norm and a ReLU come between, as in He
    et al., which adds 1024 parameters.
    """
    return _network(2, (64, 64, 128, 256, 512), PAPER, num_classes=num_classes, in_channels=in_channels)
