"""The strengths of the mixers and of SUMix: alpha by mixer, zeta by data set, network and mixer."""

from collections.abc import Mapping
from typing import Any

from trainables.config import Recipe

TRANSFORMERS = ("deit_small", "vit_tiny_32", "swin_tiny", "convnext_tiny", "convnext_tiny_cifar")

# alpha by mixer, for convolutional networks and for transformers: SUMix section 5.2, or OM's tables where it has none.
ALPHA: dict[str, tuple[float, float]] = {
    "mixup": (1.0, 0.8),
    "cutmix": (0.2, 2.0),
    "mixup_cutmix": (1.0, 1.0),
    "fmix": (0.2, 1.0),
    "gridmix": (0.2, 1.0),
    "resizemix": (1.0, 1.0),
    "saliencymix": (0.2, 0.2),
    "smoothmix": (0.2, 0.2),
    "attentivemix": (2.0, 2.0),
    "puzzlemix": (1.0, 2.0),
    "manifoldmix": (2.0, 2.0),
    "alignmix": (2.0, 2.0),
    "comixup": (2.0, 2.0),
    "automix": (2.0, 2.0),
    "samix": (2.0, 2.0),
    "mergemix": (1.0, 1.0),
    "adautomix": (1.0, 1.0),
    # From their own papers: K-image mixing for PyramidNet-110 and ImageNet, SuperMix, AugMix.
    "dmixup": (1 / 3, 1 / 3),
    "dcutmix": (0.2, 0.2),
    "saliency_dcutmix": (1 / 3, 1 / 3),
    "supermix": (3.0, 3.0),
    "augmix": (1.0, 1.0),
}

# On images of more than 32 pixels PuzzleMix has no grid of 16 x 16, and moves its grid's cells whole: OM configs.
PUZZLEMIX_OF_LARGE: Recipe = {"mixer.blocks": (2, 4, 8), "mixer.t_size": 224}
SMALL = ("cifar10", "cifar100", "cifar8", "fashion_mnist")  # data sets of images of at most 32 pixels

# The arms of SUMix's tables: the mixer alone, with only the extra pass of the unmixed batch, and with all of SUMix.
WITHOUT_SUMIX: Recipe = {"sumix.lam": "fixed", "sumix.regulariser": "none"}
RAW_PASS: Recipe = {"sumix.regulariser": "s", "sumix.zeta": 0.0}
SUMIX: Recipe = {"sumix.lam": "learned", "sumix.regulariser": "su"}

# zeta by data set and backbone, and by mixer: SUMix Tables 7 to 9.
ZETA: dict[tuple[str, str], dict[str, float]] = {
    ("cifar100", "resnet18"): {"cutmix": 0.5, "fmix": 1.0, "saliencymix": 0.5, "resizemix": 0.2},
    ("cifar100", "resnext50"): {"cutmix": 0.5, "fmix": 1.0, "saliencymix": 1.0, "resizemix": 0.5},
    ("cifar100", "wrn28_8"): {"cutmix": 0.5, "fmix": 0.5, "saliencymix": 0.5, "resizemix": 0.5},
    ("cifar100", "deit_small"): {"cutmix": 0.5, "fmix": 0.5, "saliencymix": 0.5, "resizemix": 0.5},
    ("cifar100", "swin_tiny"): {"cutmix": 0.5, "fmix": 0.5, "saliencymix": 0.5, "resizemix": 0.5},
    ("cub200", "resnet18_imagenet"): {"cutmix": 1.0, "fmix": 0.5, "saliencymix": 0.5, "resizemix": 0.5},
    ("cub200", "resnext50_imagenet"): {"cutmix": 0.5, "fmix": 0.1, "saliencymix": 0.2, "resizemix": 0.5},
    ("aircraft", "resnet18_imagenet"): {"cutmix": 1.0, "fmix": 0.5, "saliencymix": 1.0, "resizemix": 0.5},
    ("aircraft", "resnext50_imagenet"): {"cutmix": 0.5, "fmix": 0.5, "saliencymix": 0.5, "resizemix": 0.5},
}
ZETA_OF_DATASET = {"tiny_imagenet": 1.0, "imagenet": 0.5}  # for every mixer: section 5.2


def sumix_settings(config: Mapping[str, Any]) -> Recipe:
    """Return the alpha and zeta of SUMix's tables for a cell, and the other options that its mixer needs there."""
    dataset, backbone, mixer = (config.get(key) for key in ("dataset", "backbone", "mixer"))
    settings: Recipe = {}
    if mixer in ALPHA:
        convolutional, transformer = ALPHA[mixer]
        settings["mixer.alpha"] = transformer if backbone in TRANSFORMERS else convolutional
    if mixer == "resizemix" and backbone in TRANSFORMERS and dataset != "imagenet":  # as in OM's configurations
        settings["mixer.interpolation"] = "bilinear"
    if mixer == "puzzlemix" and _is_large(config):
        settings |= PUZZLEMIX_OF_LARGE
    if mixer == "comixup":
        settings["clean_loss"] = 2.0  # part of its own code's recipe, from which the printed numbers come
    zeta = ZETA.get((str(dataset), str(backbone)), {}).get(str(mixer), ZETA_OF_DATASET.get(str(dataset)))
    return settings if zeta is None else {**settings, "sumix.zeta": zeta}


def _is_large(config: Mapping[str, Any]) -> bool:
    """Return whether a cell's images have more than 32 pixels a side; a cell without a data set counts as CIFAR."""
    side = config.get("image_size")
    return config.get("dataset", SMALL[0]) not in SMALL if side is None else side > 32
