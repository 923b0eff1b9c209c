"""The operations that a search chooses from, as DARTS has them.

Shape letters: B batch, C channels, H height, W width.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from trainables.darts.genotype import NODES

# Channels of the outputs of the two cells before, the earlier first, and of a cell's nodes.
Widths = tuple[int, int, int]


class Zero(nn.Module):
    """No connection."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to zeros (B, C, H / stride, W / stride)."""
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class HalvedMap(nn.Module):
    """Two 1x1 convolutions, of the even and of the odd pixels, side by side.

    The pixels are taken before the convolutions: with a stride of their own, and fewer than 8 channels in
    channels_last, these write outside of their memory on a CPU with AVX2 alone (torch 2.15).
    """

    def __init__(self, width: int, out_width: int, affine: bool) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.even = nn.Conv2d(width, out_width // 2, 1, bias=False)
        self.odd = nn.Conv2d(width, out_width - out_width // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_width, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out width, H / 2, W / 2)."""
        x = self.act(x)
        even, odd = x[:, :, ::2, ::2], x[:, :, 1::2, 1::2]
        return self.norm(torch.cat((self.even(even), self.odd(odd)), dim=1))


def conv_norm(width: int, out_width: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """Return a 3x3 convolution and its batch norm."""
    return nn.Conv2d(width, out_width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out_width)


def pointwise(width: int, out_width: int, affine: bool) -> nn.Sequential:
    """Return a ReLU, a 1x1 convolution and a batch norm."""
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(width, out_width, 1, bias=False), nn.BatchNorm2d(out_width, affine=affine)
    )


def sizes_of_cells(cells: int, channels: int, stem: int, after_halving: bool) -> Iterator[tuple[Widths, bool, bool]]:
    """Yield the widths of each cell in a row, whether it halves the map, and whether it comes after a map was halved.

    The cells at a third and at two thirds halve the map and double the width; the first is ``channels`` wide.
    """
    before_last, last, width = stem, stem, channels
    for place in range(cells):
        halves = place in (cells // 3, 2 * cells // 3)
        width *= 2 if halves else 1
        yield (before_last, last, width), halves, after_halving
        before_last, last, after_halving = last, NODES * width, halves


def cell_inputs(widths: Widths, *, after_halving: bool, affine: bool) -> tuple[nn.Module, nn.Module]:
    """Return the modules that bring the outputs of the last two cells to one size and to the cell's own width."""
    before_last, last, width = widths
    first = HalvedMap(before_last, width, affine) if after_halving else pointwise(before_last, width, affine)
    return first, pointwise(last, width, affine)


def _depthwise(width: int, size: int, stride: int, affine: bool, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (size // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(width, width, size, stride, padding, dilation, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width, affine=affine),
    ]


def _separable(width: int, size: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(*_depthwise(width, size, stride, affine), *_depthwise(width, size, 1, affine))


def _dilated(width: int, size: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(*_depthwise(width, size, stride, affine, dilation=2))


# name: constructor(width, stride, affine); maps (B, C, H, W) to (B, C, H / stride, W / stride)
OPERATIONS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "none": lambda width, stride, affine: Zero(stride),
    "max_pool_3x3": lambda width, stride, affine: nn.MaxPool2d(3, stride, padding=1),
    "avg_pool_3x3": lambda width, stride, affine: nn.AvgPool2d(3, stride, padding=1, count_include_pad=False),
    "skip_connect": lambda width, stride, affine: nn.Identity() if stride == 1 else HalvedMap(width, width, affine),
    "sep_conv_3x3": lambda width, stride, affine: _separable(width, 3, stride, affine),
    "sep_conv_5x5": lambda width, stride, affine: _separable(width, 5, stride, affine),
    "dil_conv_3x3": lambda width, stride, affine: _dilated(width, 3, stride, affine),
    "dil_conv_5x5": lambda width, stride, affine: _dilated(width, 5, stride, affine),
}
