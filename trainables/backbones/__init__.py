"""Every backbone by its name. A family is one file and its lines here."""

from collections.abc import Callable

from trainables.backbones.backbone import Backbone
from trainables.backbones.resnet import resnet18, resnet34, resnet50
from trainables.backbones.resnet_cifar import resnet8, resnet20, resnet56

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "resnet8": resnet8,
    "resnet20": resnet20,
    "resnet56": resnet56,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
}
