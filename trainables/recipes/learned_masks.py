"""AutoMix's settings for each data set and network, and the strengths of the mixers in AutoMix's tables.

AutoMix's settings are those of OM configs/classification/*/automix that differ from the mixer's defaults. The strengths
are those that OM's benchmark tables name. SAMix and AdAutoMix are set as AutoMix, as far as they have its options,
except where OM and AdAutoMix's own code set them otherwise. AutoMix's paper has one set of settings for all, which is
the preset ``paper``; only the layer must be set for a network without four stages. On CUB-200 and Aircraft OM also
rewards the variance of AutoMix's masks, as SAMix does, with ResNeXt-50 but not with ResNet-18; here it is never so.
"""

from collections.abc import Mapping
from typing import Any

from trainables.config import Recipe
from trainables.recipes.strengths import TRANSFORMERS, sumix_settings

FEW_EPOCHS = 20
FASTER_COPY: Recipe = {"mixer.first_momentum": 0.98, "mixer.last_momentum": 0.98}  # for runs of fewer epochs
LEARNED = ("automix", "samix", "adautomix")  # mixers whose masks a network learns
# The options of AutoMix that the others lack.
LACKING = {"samix": ("mixer.lam_channel",), "adautomix": ("mixer.mask_decay", "mixer.derangement")}

# The middle of the network; for all others it is stage 3, as in the paper.
LAYER: dict[str, int] = {"deit_small": 6, "vit_tiny_32": 2}

# The rate does not go to 0, because the slow copy is tested.
CIFAR: Recipe = {"min_lr": 0.05}
WIDE_RESNET: Recipe = {"min_lr": 0.001, "mixer.layer": 2, "mixer.block_momentum": 0.0}
TINY_IMAGENET: Recipe = {"min_lr": 0.05, "mixer.block_lr": 0.1, "mixer.block_min_lr": 0.001}
PHOTOGRAPHS: Recipe = {
    "mixer.lam_channel": True,
    "mixer.mask_decay": "cosine",
    "mixer.last_momentum": 0.99999,
    "mixer.block_lr": 0.1,
    "mixer.block_min_lr": 0.001,
}
INATURALIST: Recipe = {**PHOTOGRAPHS, "mixer.block_min_lr": 0.0001}
FINE_TUNING: Recipe = {
    **PHOTOGRAPHS,
    "mixer.derangement": True,
    "mixer.block_lr": 0.01,
    "mixer.block_min_lr": 0.0005,
}
TRANSFORMER: Recipe = {
    "mixer.lam_channel": True,
    "mixer.mask_decay": "cosine",
    "mixer.last_momentum": 0.99996,
    "mixer.momentum_from": 0.25,
    "mixer.block_lr": 0.001,
    "mixer.block_min_lr": 0.0001,
}
TRANSFORMER_ON_CIFAR: Recipe = {**TRANSFORMER, "lr": 5e-4, "min_lr": 1e-4}
# Further settings of single networks.
OF_NETWORK: dict[tuple[str, str], Recipe] = {
    ("cifar100", "deit_small"): {"drop_path": 0.1, "grad_clip": 10.0, "warmup_epochs": 5},
    ("cifar100", "swin_tiny"): {"grad_clip": 10.0},
    ("imagenet", "deit_small"): {"mixer.last_momentum": 0.99999},
    ("imagenet", "swin_tiny"): {"mixer.last_momentum": 0.99999},
    ("inat2017", "resnet18_imagenet"): {"mixer.block_min_lr": 0.001},
}

# data set: settings for convolutional networks, and for transformers
RELEASED: dict[str, tuple[Recipe, Recipe]] = {
    "cifar10": (CIFAR, TRANSFORMER_ON_CIFAR),
    "cifar100": (CIFAR, TRANSFORMER_ON_CIFAR),
    "tiny_imagenet": (TINY_IMAGENET, TRANSFORMER),
    "imagenet": (PHOTOGRAPHS, TRANSFORMER),
    "inat2017": (INATURALIST, TRANSFORMER),
    "inat2018": (INATURALIST, TRANSFORMER),
    "places205": (PHOTOGRAPHS, TRANSFORMER),
    "cub200": (FINE_TUNING, TRANSFORMER),
    "aircraft": (FINE_TUNING, TRANSFORMER),
}

# Where SAMix differs from AutoMix, by data set or by data set and network: OM configs/classification/*/samix. There the
# block also drops 0.1 of its values, except for ResNets on CIFAR and Tiny-ImageNet, and enlarges masks of DeiT and Swin
# by the nearest neighbour; here it does not.
UNBENT: Recipe = {"mixer.lam_k": None}
SAMIX: dict[tuple[str, ...], Recipe] = {
    ("cifar100", "deit_small"): {
        **UNBENT,
        "lr": 7.5e-4,
        "grad_clip": 20.0,
        "warmup_epochs": 20,
        "mixer.block_lr": 7.5e-4,
    },
    ("cifar100", "swin_tiny"): {**UNBENT, "grad_clip": 20.0, "mixer.block_lr": 5e-4},
    ("cifar100", "convnext_tiny_cifar"): {**UNBENT, "grad_clip": 20.0, "mixer.block_lr": 7.5e-4},
    ("tiny_imagenet", "resnet18"): UNBENT,
    ("imagenet",): UNBENT,
    ("inat2017",): UNBENT,
    ("inat2018",): UNBENT,
    ("places205",): {**UNBENT, "mixer.block_min_lr": 0.0001},
    ("cub200",): {"mixer.lam_k": 1.0},
    ("aircraft",): {"mixer.lam_k": 1.0, "mixer.last_momentum": 0.99996},
}
# Where AdAutoMix does: the configurations of its own code. There the masks of DeiT and Swin are enlarged by the nearest
# neighbour, those of ImageNet mix two images, and those of Swin, of Aircraft and of ResNet-18 on CUB mix two or three
# by chance; not so here.
ADAUTOMIX: dict[tuple[str, ...], Recipe] = {
    ("cifar100", "deit_small"): {"mixer.lam_margin": 0.03},
    ("tiny_imagenet",): {"mixer.adversarial_share": 0.4},
    ("tiny_imagenet", "resnet18"): {"min_lr": 0.0, "mixer.block_min_lr": 0.0},
    ("imagenet",): {"mixer.adversarial_share": 0.1},
    ("cub200",): {"mixer.block_lr": 0.1, "mixer.block_min_lr": 0.001},
    ("cub200", "resnet50_imagenet"): {"mixer.adversarial_share": 0.1},
    ("cub200", "resnext50_imagenet"): {"mixer.adversarial_share": 0.1, "mixer.block_min_lr": 0.0005},
    ("aircraft",): {"mixer.block_lr": 0.1, "mixer.block_min_lr": 0.001},
    ("aircraft", "resnet18_imagenet"): {"min_lr": 0.0005, "mixer.lam_margin": 0.0},
    ("aircraft", "resnext50_imagenet"): {"mixer.adversarial_share": 0.6},
}
OF_SUCCESSOR = {"samix": SAMIX, "adautomix": ADAUTOMIX}

# alpha by data set and mixer for convolutional networks, where it is not that of ``ALPHA``: OM
# docs/en/mixup_benchmarks.
ALPHA_OF_PHOTOGRAPHS = {"mixup": 0.2, "cutmix": 1.0, "saliencymix": 1.0, "fmix": 1.0, "manifoldmix": 0.2}
ALPHA_OF_FINE_TUNING = {"mixup": 0.2, "cutmix": 1.0, "manifoldmix": 0.5}
ALPHA_OF_DATASET: dict[str, dict[str, float]] = {
    "tiny_imagenet": {"cutmix": 1.0, "saliencymix": 1.0, "fmix": 1.0, "manifoldmix": 0.2},
    "imagenet": ALPHA_OF_PHOTOGRAPHS,
    "inat2017": ALPHA_OF_PHOTOGRAPHS,
    "inat2018": ALPHA_OF_PHOTOGRAPHS,
    "places205": {"mixup": 0.2, "manifoldmix": 0.2},
    "cub200": ALPHA_OF_FINE_TUNING,
    "aircraft": ALPHA_OF_FINE_TUNING,
}
# The same for transformers; all other data sets have that of ``ALPHA``.
ALPHA_ON_IMAGENET = {"mixup": 0.2, "cutmix": 0.2, "fmix": 0.2, "puzzlemix": 1.0, "manifoldmix": 0.2}

ALPHA_OF_RESNET18 = 0.2  # ResNet-18 underfits ImageNet under mixers that cut


def automix_settings(config: Mapping[str, Any]) -> Recipe:
    """Return what AutoMix sets for a cell besides its alpha, and nothing for a mixer whose masks are not learned.

    In a run of few epochs a slow copy, of another mixer too, moves faster, to forget its start in time. With the preset
    ``paper`` nothing is OpenMixup's.
    """
    dataset, backbone, mixer = (str(config.get(key)) for key in ("dataset", "backbone", "mixer"))
    few_epochs = config.get("epochs", FEW_EPOCHS) < FEW_EPOCHS
    if mixer not in LEARNED:
        return FASTER_COPY if few_epochs and config.get("mixer.pipeline") in ("mp", "mp_ce") else {}
    settings: Recipe = {"mixer.layer": LAYER[backbone]} if backbone in LAYER else {}
    if few_epochs:
        settings |= FASTER_COPY
    elif config.get("automix.preset") != "paper" and dataset in RELEASED:
        settings |= _released(dataset, backbone, mixer)
    lacking = LACKING.get(mixer, ())
    return {key: value for key, value in settings.items() if key not in lacking}


def _released(dataset: str, backbone: str, mixer: str) -> Recipe:
    """Return the settings of a mixer whose masks are learned in the released codes."""
    convolutional, transformer = RELEASED[dataset]
    settings = dict(transformer if backbone in TRANSFORMERS else convolutional)
    settings |= OF_NETWORK.get((dataset, backbone), {})
    if backbone.startswith("wrn"):
        settings |= WIDE_RESNET
    if backbone == "convnext_tiny_cifar":
        settings.pop("lr", None)  # the rate stays that of its recipe, as in OM
    if mixer == "adautomix" and backbone in TRANSFORMERS:
        settings["mixer.lam_margin"] = 0.0
    of_mixer = OF_SUCCESSOR.get(mixer, {})
    return {**settings, **of_mixer.get((dataset,), {}), **of_mixer.get((dataset, backbone), {})}


# OM's notes have this weight decay for ResNeXt-50 under mixers that cut, "for better performances"; AutoMix's Table 1,
# unlike OM's own, has numbers that fit it.
CUTTING = ("cutmix", "saliencymix", "fmix", "resizemix")
WEIGHT_DECAY_OF_CUTTING = 5e-4


def strengths(config: Mapping[str, Any]) -> Recipe:
    """Return the alpha of AutoMix's tables for a cell and its weight decay for ResNeXt-50, and the zeta of SUMix's."""
    dataset, backbone, mixer = (str(config.get(key)) for key in ("dataset", "backbone", "mixer"))
    settings = sumix_settings(config)
    if backbone in TRANSFORMERS:
        alphas = ALPHA_ON_IMAGENET if dataset == "imagenet" else {}
    else:
        alphas = ALPHA_OF_DATASET.get(dataset, {})
    if (dataset, backbone) == ("imagenet", "resnet18_imagenet") and mixer in CUTTING:
        settings["mixer.alpha"] = ALPHA_OF_RESNET18
    elif mixer in alphas:
        settings["mixer.alpha"] = alphas[mixer]
    if mixer in CUTTING and backbone == "resnext50" and dataset.startswith("cifar"):
        settings["weight_decay"] = WEIGHT_DECAY_OF_CUTTING
    return settings
