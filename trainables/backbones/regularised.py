"""Stochastic depth (drop-path) and DropBlock in residual networks, added to a network that is built.

Huang, Sun, Liu, Sedra, Weinberger, "Deep Networks with Stochastic Depth", ECCV 2016 (arXiv:1603.09382); Ghiasi, Lin,
Le, "DropBlock: A Regularization Method for Convolutional Networks", NeurIPS 2018 (arXiv:1810.12890).

Both act in training only and are hooks: the weights keep their names, and a ``model.pt`` fits the plain network.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import stochastic_depth

from trainables.backbones import pyramidnet, wide_resnet
from trainables.backbones.backbone import Backbone

# The name, by kind of residual block, of the module whose output is added to the shortcut.
BRANCH_END: dict[type[nn.Module], str] = {
    BasicBlock: "bn2",
    Bottleneck: "bn3",
    pyramidnet.Block: "branch",
    wide_resnet.Block: "conv2",
}
REGULARISED_STAGES = 2  # DropBlock acts in the last stages, as in its paper


def residual_blocks(module: nn.Module) -> list[nn.Module]:
    """Return the residual blocks inside ``module``, in the order in which an image passes them."""
    return [block for block in module.modules() if type(block) in BRANCH_END]


def add_drop_path(backbone: Backbone, rate: float) -> None:
    """Let each block lose its residual branch, image by image, with a probability up to ``rate``, in place.

    The probability grows linearly with depth, from 0 at the first block. Branches that stay are scaled up in training,
    where the paper scales down in testing.
    """
    blocks = residual_blocks(backbone)
    for index, block in enumerate(blocks):
        end = getattr(block, BRANCH_END[type(block)])
        end.register_forward_hook(partial(_drop_path, rate * index / (len(blocks) - 1)))


def add_drop_block(backbone: Backbone, probability: float, size: int) -> None:
    """Let the output of each block of the last stages lose squares, other ones in each channel, in place.

    ``probability`` is the share of a map that is dropped, 1 - ``keep_prob`` of the paper; ``size`` is the side of a
    square in pixels of the map; a smaller map is dropped whole. The paper drops after every convolution and shortcut, a
    share that grows during training; here each block drops once, and the share stays.
    """
    for stage in backbone.stages[-REGULARISED_STAGES:]:
        for block in residual_blocks(stage):
            block.register_forward_hook(partial(_drop_block, probability, size))


def _drop_path(p: float, module: nn.Module, _: object, branch: Tensor) -> Tensor:
    return stochastic_depth(branch, p, "row", module.training)


def _drop_block(p: float, size: int, module: nn.Module, _: object, maps: Tensor) -> Tensor:
    return drop_block(maps, p, size) if module.training else maps


def drop_block(maps: Tensor, p: float, size: int) -> Tensor:
    """Return maps (B, C, H, W) without random squares, at most as large as a map; the rest is scaled up accordingly.

    The share that is dropped is roughly ``p``, because squares may overlap.
    """
    height, width = maps.shape[2:]
    size = min(size, height, width)
    corners = (*maps.shape[:2], height - size + 1, width - size + 1)
    gamma = p * height * width / (size**2 * corners[2] * corners[3])
    seeds = maps.new_empty(corners).bernoulli_(gamma)
    kept = 1 - F.max_pool2d(F.pad(seeds, [size - 1] * 4), size, stride=1)
    # In float16 the number of pixels would be infinite.
    return maps * kept * (kept.numel() / kept.sum(dtype=torch.float32).clamp(min=1))
