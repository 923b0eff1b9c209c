"""Every backbone by its name. A family of backbones is one file, and its lines here; timm's are found by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from trainables.registry import Registry

if TYPE_CHECKING:
    from trainables.backbones.backbone import Backbone

# A file and constructors in it: each takes num_classes=... and in_channels=3, some also image_size, drop_path, or
# torchvision's weights.
RESIDUAL_FAMILIES = (  # for images of 32 and 64 pixels; their blocks have no drop-path of their own
    ("resnet", ("resnet8", "resnet20", "resnet56")),
    ("resnet", ("resnet18", "resnet34", "resnet50", "resnext29", "resnext50")),
    ("wide_resnet", ("wrn16_8", "wrn28_8", "wrn28_8_paper", "preact_resnet18")),
    ("pyramidnet", ("pyramidnet110", "pyramidnet200")),
)
FAMILIES = (
    *RESIDUAL_FAMILIES,
    ("torchvision_models", ("convnext_tiny_cifar",)),
    ("deit", ("vit_tiny_32",)),
    # for images of 160 pixels and more
    ("resnet", ("resnet18_imagenet", "resnet34_imagenet", "resnet50_imagenet")),
    ("resnet", ("resnet101_imagenet", "resnet152_imagenet", "resnext50_imagenet", "resnext101_imagenet")),
    ("torchvision_models", ("mobilenet_v2", "efficientnet_b0", "convnext_tiny", "swin_tiny")),
    ("deit", ("deit_small",)),
)
BACKBONES: Mapping[str, Callable[..., Backbone]] = Registry(
    __name__, {name: file for file, names in FAMILIES for name in names}
)

PREFIX = "timm/"  # before the name of a model of timm
