"""Networks whose numbers are drawn in no time, or that have none."""

import functools
import inspect

import pytest
import torch
from torch import nn

from trainables.backbones import BACKBONES, wide_resnet
from trainables.backbones.backbone import Backbone
from trainables.network_shapes import Undrawn

SMALL_IMAGES = list(BACKBONES)[: list(BACKBONES).index("resnet18_imagenet")]  # these come first
TRANSFORMERS = {"deit_small": 16, "vit_tiny_32": 4}  # with a class token, and the side of a patch


def build(name: str, image_size: int, **options) -> Backbone:
    takes_size = "image_size" in inspect.signature(BACKBONES[name]).parameters
    return BACKBONES[name](**({"image_size": image_size} if takes_size else {}), **options)


@functools.cache
def on_meta(name: str) -> Backbone:
    with torch.device("meta"), Undrawn():
        return build(name, 224, num_classes=7).eval()


def drawn(name: str, **options) -> Backbone:
    """Return a network with uniform weights, of which none is 0 or 1, and which are drawn in no time.

    A wide network has the usual width, by which a 64th of the numbers is computed.
    """
    torch.manual_seed(1)
    with Undrawn(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide_resnet, "WIDER", 1)
        backbone = build(name, 32, **{"num_classes": 7, **options}).eval()
    for parameter in backbone.parameters():
        bound = (3 / parameter[0].numel()) ** 0.5
        nn.init.uniform_(parameter, *((0.5, 1.0) if parameter.squeeze().ndim == 1 else (-bound, bound)))
    return backbone
