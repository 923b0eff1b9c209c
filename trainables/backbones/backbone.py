"""The parts that every backbone offers: stages that can be run one by one, features, and a linear head.

Shape letters: B batch, C channels, H height, W width, D features, L classes.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from trainables.device.precision import wide
from trainables.parallel.rows import spread
from trainables.ranges import Init

N = TypeVar("N", bound=nn.Module)


class Backbone(nn.Module):
    """A network that applies ``stages`` in turn, the mean over the last map, ``neck``, and a linear ``head``.

    Stage 0 is the stem, and stage k of a ResNet is ``stages[k]``. A network whose maps are not (B, C, H, W)
    grids describes them in its class, and overrides ``grid`` and ``pool``.
    """

    # See ``initialise``; "already" keeps what the constructor drew, except in the head.
    drawn_as: ClassVar[Literal["convolutional", "transformer", "already"]] = "convolutional"

    def __init__(
        self, stages: Sequence[nn.Module], num_features: int, num_classes: int, neck: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.neck = nn.Identity() if neck is None else neck
        self.head = nn.Linear(num_features, num_classes)

    def encode(self, x: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Return the feature map after stages ``first`` up to ``last``, exclusive; both maps are (B, C, H, W)."""
        for stage in self.stages[first:last]:
            x = stage(x)
        return x

    def grid(self, maps: Tensor) -> Tensor:
        """Return a map as features of each position of the image, (B, C, H, W); here the map itself."""
        return maps

    def pool(self, maps: Tensor) -> Tensor:
        """Return features (B, D) from the last stage's map (B, D, H, W)."""
        return self.neck(maps.mean(dim=(2, 3)))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return features (B, D) from normalised images (B, C, H, W)."""
        return self.pool(self.encode(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, L) from normalised images (B, C, H, W)."""
        return self.head(self.forward_features(x))


class Network(nn.Module):
    """A backbone that takes pixels in [0, 1] and normalises them itself.

    Mixing, saliency, occlusion and attacks therefore all work on pixels, and only this class knows the
    mean and the standard deviation of the data set. Where several processes train together, each computes some rows.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Bring pixels (B, C, H, W) in [0, 1] to zero mean and unit deviation per channel."""
        return (images - self.mean) / self.std

    def encode(self, images: Tensor, depth: int) -> Tensor:
        """Return pixels (B, C, H, W) after ``depth`` stages of the backbone; 0 returns the pixels themselves."""
        if depth == 0:
            return images
        return spread(lambda rows: self.backbone.encode(self.normalise(rows), 0, depth), images)

    def forward_features(self, maps: Tensor, depth: int = 0) -> Tensor:
        """Return features (B, D) of what ``encode`` returns: pixels, or maps after ``depth`` stages."""
        if depth == 0:
            return spread(lambda rows: self.backbone.forward_features(self.normalise(rows)), maps)
        return spread(lambda rows: self.backbone.pool(self.backbone.encode(rows, depth)), maps)

    def head(self, features: Tensor) -> Tensor:
        """Return logits (B, L) from features (B, D); see ``read_out``."""
        return read_out(self.backbone.head, features)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, L) from pixels (B, C, H, W)."""
        return self.head(self.forward_features(images))


def read_out(head: nn.Module, features: Tensor) -> Tensor:
    """Return a head's logits (B, L) of features (B, D), in float32 at least.

    In bfloat16 the two largest logits of one image in a hundred are the same number, and chance decides between their
    classes.
    """
    with torch.autocast(features.device.type, enabled=False):
        return head(wide(features))


def layer_defaults(network: N) -> N:
    """Return ``network`` with every layer redrawn as PyTorch draws it; torchvision's constructors draw otherwise."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.LayerNorm):
            module.reset_parameters()
    return network


def initialise(backbone: Backbone, init: Init) -> None:
    """Set every weight of ``backbone`` in place, from torch's global generator.

    The published tables of OpenMixup were trained from ``om_table``. A convolutional network has
    Kaiming-normal (fan out) convolutions, the last batch norm of each residual block at zero, and a linear head
    from N(0, 0.01). A transformer, and ConvNeXt, draw every matrix, and the position and class embeddings,
    from N(0, 0.02) cut off at two, as ConvNeXt's own code does; OpenMixup leaves the patch embedding of DeiT and Swin
    as PyTorch draws it, and draws the heads of Swin and ConvNeXt on CIFAR-100 from N(0, 0.01). ``torch_default`` leaves
    PyTorch's values: later releases, and the SUMix code, train convolutional networks other than ConvNeXt from these,
    although they compare with the published tables.
    """
    if init == "torch_default" or backbone.head.weight.is_meta:  # a network without numbers has nothing to draw
        return
    if backbone.drawn_as == "already":
        initialise_head(backbone, init)
    elif backbone.drawn_as == "transformer":
        _truncated_normal(backbone)
    else:
        _kaiming_normal(backbone)


def initialise_head(backbone: Backbone, init: Init) -> None:
    """Set only the head's weights in the same way, for a network whose other weights are pretrained."""
    if init == "om_table":
        _linear(backbone.head)


def _kaiming_normal(backbone: nn.Module) -> None:
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            _linear(module)
    for module in backbone.modules():
        if isinstance(module, BasicBlock | Bottleneck):
            # The inner norm of a pre-activation block is never zeroed: nothing would flow through its branch again.
            nn.init.zeros_((module.bn3 if isinstance(module, Bottleneck) else module.bn2).weight)


def _linear(layer: nn.Linear) -> None:
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _truncated_normal(backbone: nn.Module) -> None:
    for name, parameter in backbone.named_parameters():
        kind = name.rpartition(".")[2]
        if kind in ("class_token", "pos_embedding", "relative_position_bias_table") or (
            kind.endswith("weight") and parameter.ndim > 1
        ):
            nn.init.trunc_normal_(parameter, std=0.02)
        elif kind.endswith("bias"):
            nn.init.zeros_(parameter)
