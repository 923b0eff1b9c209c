"""Every backbone by its name. A family of backbones is one file, and its lines here; timm's are found by name."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING

from trainables.registry import Registry

if TYPE_CHECKING:
    from trainables.backbones.backbone import Backbone

# name: the file of constructor(num_classes=..., in_channels=3), some with image_size, drop_path, or torchvision's
# weights
BACKBONES: MutableMapping[str, Callable[..., Backbone]] = Registry(
    __name__,
    {
        # for images of 32 and 64 pixels
        "resnet8": "resnet_cifar",
        "resnet20": "resnet_cifar",
        "resnet56": "resnet_cifar",
        "resnet18": "resnet",
        "resnet34": "resnet",
        "resnet50": "resnet",
        "resnext29": "resnet",
        "resnext50": "resnet",
        "wrn16_8": "wide_resnet",
        "wrn28_8": "wide_resnet",
        "wrn28_8_paper": "wide_resnet",
        "preact_resnet18": "preact_resnet",
        "pyramidnet110": "pyramidnet",
        "pyramidnet200": "pyramidnet",
        "convnext_tiny_cifar": "convnext",
        "vit_tiny_32": "deit",
        # for images of 160 pixels and more
        "resnet18_imagenet": "imagenet_resnet",
        "resnet34_imagenet": "imagenet_resnet",
        "resnet50_imagenet": "imagenet_resnet",
        "resnet101_imagenet": "imagenet_resnet",
        "resnet152_imagenet": "imagenet_resnet",
        "resnext50_imagenet": "imagenet_resnet",
        "resnext101_imagenet": "imagenet_resnet",
        "mobilenet_v2": "mobile",
        "efficientnet_b0": "mobile",
        "convnext_tiny": "convnext",
        "deit_small": "deit",
        "swin_tiny": "swin",
    },
)

PREFIX = "timm/"  # of the names of timm's models
