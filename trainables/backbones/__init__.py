"""Every backbone by its name. A family of backbones is one file, and its lines here; timm's are found by name."""

from collections.abc import Callable
from functools import partial

from trainables.backbones.backbone import Backbone
from trainables.backbones.convnext import convnext_tiny, convnext_tiny_cifar
from trainables.backbones.deit import deit_small, vit_tiny_32
from trainables.backbones.imagenet_resnet import (
    resnet18_imagenet,
    resnet34_imagenet,
    resnet50_imagenet,
    resnet101_imagenet,
    resnet152_imagenet,
    resnext50_imagenet,
    resnext101_imagenet,
)
from trainables.backbones.mobile import efficientnet_b0, mobilenet_v2
from trainables.backbones.preact_resnet import preact_resnet18
from trainables.backbones.pyramidnet import pyramidnet110, pyramidnet200
from trainables.backbones.resnet import resnet18, resnet34, resnet50, resnext29, resnext50
from trainables.backbones.resnet_cifar import resnet8, resnet20, resnet56
from trainables.backbones.swin import swin_tiny
from trainables.backbones.timm_models import PREFIX, require_model, timm_backbone
from trainables.backbones.wide_resnet import wrn16_8, wrn28_8, wrn28_8_paper
from trainables.known import require_known

# name: constructor(num_classes=..., in_channels=3), some with image_size, drop_path, or torchvision's weights
BACKBONES: dict[str, Callable[..., Backbone]] = {
    # for images of 32 and 64 pixels
    "resnet8": resnet8,
    "resnet20": resnet20,
    "resnet56": resnet56,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnext29": resnext29,
    "resnext50": resnext50,
    "wrn16_8": wrn16_8,
    "wrn28_8": wrn28_8,
    "wrn28_8_paper": wrn28_8_paper,
    "preact_resnet18": preact_resnet18,
    "pyramidnet110": pyramidnet110,
    "pyramidnet200": pyramidnet200,
    "convnext_tiny_cifar": convnext_tiny_cifar,
    "vit_tiny_32": vit_tiny_32,
    # for images of 160 pixels and more
    "resnet18_imagenet": resnet18_imagenet,
    "resnet34_imagenet": resnet34_imagenet,
    "resnet50_imagenet": resnet50_imagenet,
    "resnet101_imagenet": resnet101_imagenet,
    "resnet152_imagenet": resnet152_imagenet,
    "resnext50_imagenet": resnext50_imagenet,
    "resnext101_imagenet": resnext101_imagenet,
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_b0": efficientnet_b0,
    "convnext_tiny": convnext_tiny,
    "deit_small": deit_small,
    "swin_tiny": swin_tiny,
}


def constructor_of(name: str) -> Callable[..., Backbone]:
    """Return the constructor of one of ``BACKBONES`` or of ``timm/NAME``; raise ``ValueError`` without one."""
    if name.startswith(PREFIX):
        require_model(name)
        return partial(timm_backbone, name.removeprefix(PREFIX))
    require_known("backbone", name, BACKBONES)
    return BACKBONES[name]
