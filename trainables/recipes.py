"""The papers' training recipes as plain values with dotted keys, and the strengths of SUMix and of every mixer.

OM is the configuration of OpenMixup that SUMix and AutoMix follow (Li et al. 2022, arXiv:2209.04851). A study starts
from one recipe, a level may switch to another, and an arm changes the keys that it is about.
"""

from collections.abc import Mapping
from typing import Any

from trainables.config import DEFAULTS, flatten

Recipe = dict[str, Any]

# --- Convolutional networks: SUMix section 5.3, OM configs/classification/{cifar100,tiny_imagenet,imagenet} ---

# SGD with momentum 0.9, a cosine per epoch from 0.1 to 0, crops of images padded by reflection, flips, batches of 100.
CIFAR100_RESNET18: Recipe = {
    "dataset": "cifar100",
    "backbone": "resnet18",
    "init": "om_table",
    "augment": "crop_flip",
    "epochs": 800,
    "batch_size": 100,
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "mixer.alpha": 0.2,
    "sumix.zeta": 0.5,
}
# OM's notes have weight decay 5e-4 for the mixers that cut, its published rows and SUMix's baselines 1e-4.
CIFAR100_RESNEXT50: Recipe = {**CIFAR100_RESNET18, "backbone": "resnext50"}
CIFAR100_WRN28_8: Recipe = {
    **CIFAR100_RESNET18,
    "backbone": "wrn28_8",
    "epochs": 400,
    "lr": 0.03,
    "weight_decay": 1e-3,
}
TINY_IMAGENET: Recipe = {
    **CIFAR100_RESNET18,
    "dataset": "tiny_imagenet",
    "augment": "rrc_flip",
    "epochs": 400,
    "lr": 0.2,
    "sumix.zeta": 1.0,
}
# "PyTorch-style": 4 devices of 64 images.
IMAGENET_100: Recipe = {
    **CIFAR100_RESNET18,
    "dataset": "imagenet",
    "backbone": "resnet18_imagenet",
    "augment": "rrc_flip",
    "epochs": 100,
    "batch_size": 256,
}
IMAGENET_300: Recipe = {**IMAGENET_100, "epochs": 300}

# --- Fine-tuning of torchvision's weights: SUMix section 5.3, OM configs/classification/{cub200,aircrafts} ---

CUB200: Recipe = {
    "dataset": "cub200",
    "backbone": "resnet18_imagenet",
    "pretrained": "IMAGENET1K_V1",
    "init": "om_table",
    "augment": "rrc_flip",
    "augment.resize": 256,
    "augment.scale": 0.5,
    "interpolation": "bilinear",
    "epochs": 200,
    "batch_size": 16,
    "drop_last": True,
    "lr": 0.001,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "mixer.alpha": 0.2,
    "sumix.zeta": 0.5,
}
AIRCRAFT: Recipe = {**CUB200, "dataset": "aircraft"}

# --- CIFAR-100 at 224 pixels: SUMix section 5.3, OM configs/classification/cifar100/mixups/vits ---

_ADAMW: Recipe = {
    "optimiser": "adamw",
    "weight_decay": 0.05,
    "weight_decay_on": "matrices",
    "grad_clip": 5.0,
    "lr_changes": "each_step",
    "warmup_start": 1e-5,
    "label_smoothing": 0.1,
}
# OM's DeiT-S passes its drop-path, 0.1, under a name that its class ignores: its numbers are without drop-path.
CIFAR100_DEIT_SMALL: Recipe = {
    **_ADAMW,
    "dataset": "cifar100",
    "image_size": 224,
    "backbone": "deit_small",
    "init": "om_table",
    "augment": "rrc_flip",
    "augment.scale": 0.8,
    "augment.randaugment": "fixmatch",
    "augment.operations": 2,
    "augment.level": 7.0,
    "augment.level_std": 0.5,
    "epochs": 200,
    "batch_size": 100,
    "lr": 1e-3,
    "min_lr": 1e-6,
    "warmup_epochs": 20,
    "mixer.alpha": 2.0,
    "sumix.zeta": 0.5,
}
CIFAR100_SWIN_TINY: Recipe = {**CIFAR100_DEIT_SMALL, "backbone": "swin_tiny", "lr": 5e-4, "drop_path": 0.2}
CIFAR100_CONVNEXT_TINY: Recipe = {
    **CIFAR100_DEIT_SMALL,
    "image_size": 32,
    "backbone": "convnext_tiny_cifar",
    "drop_path": 0.3,
    "grad_clip": None,
}

# --- ImageNet in the style of DeiT (arXiv:2012.12877) and Swin (arXiv:2103.14030), OM configs/.../imagenet ---
# The mixers' own defaults are theirs: mixup (alpha 0.8) and CutMix (1.0), each for half of the images.

DEIT: Recipe = {
    **_ADAMW,
    "dataset": "imagenet",
    "backbone": "deit_small",
    "init": "om_table",
    "drop_path": 0.1,
    "mixer": "mixup_cutmix",
    "augment": "rrc_flip",
    "augment.randaugment": "increasing",
    "augment.operations": 2,
    "augment.level": 9.0,
    "augment.level_std": 0.5,
    "augment.jitter": 0.4,
    "augment.erasing": 0.25,
    "epochs": 300,
    "batch_size": 1024,
    "lr": 1e-3,
    "min_lr": 1e-5,
    "warmup_epochs": 5,
    "warmup_start": 1e-6,
}
SWIN: Recipe = {**DEIT, "backbone": "swin_tiny", "drop_path": 0.2, "warmup_epochs": 20}

# --- "ResNet strikes back": Wightman, Touvron, Jegou 2021 (arXiv:2110.00476), procedures A2 and A3 ---
# A2 shows each image of a batch three times; OM and this recipe do not.

RSB_A2: Recipe = {
    "dataset": "imagenet",
    "backbone": "resnet50_imagenet",
    "init": "om_table",
    "drop_path": 0.05,
    "mixer": "mixup_cutmix",
    "mixer.mixup_alpha": 0.1,
    "augment": "rrc_flip",
    "augment.randaugment": "increasing",
    "augment.operations": 2,
    "augment.level": 7.0,
    "augment.level_std": 0.5,
    "image_size": 224,
    "test_size": 224,
    "resize": 236,
    "optimiser": "lamb",
    "weight_decay": 0.02,
    "weight_decay_on": "matrices",
    "grad_clip": 1.0,
    "loss": "binary",
    "epochs": 300,
    "batch_size": 2048,
    "lr": 0.005,
    "min_lr": 1e-6,
    "warmup_epochs": 5,
    "warmup_start": 1e-5,
}
RSB_A3: Recipe = {
    **RSB_A2,
    "drop_path": 0.0,
    "augment.level": 6.0,
    "image_size": 160,
    "epochs": 100,
    "lr": 0.008,
}

# --- K-image mixing (Jeong et al., IEEE Access 2023) and Co-Mixup (arXiv:2102.03065), from their released code ---

# The CutMix baselines of the paper have weight decay 1e-4 and milestones 0.5, 0.75.
CIFAR100_PYRAMIDNET110: Recipe = {
    **CIFAR100_RESNET18,
    "backbone": "pyramidnet110",
    "epochs": 300,
    "batch_size": 64,
    "lr": 0.25,
    "nesterov": True,
    "weight_decay": 4e-5,
    "schedule": "multistep",
    "milestones": (0.75, 0.9),
}
CIFAR100_PYRAMIDNET200: Recipe = {**CIFAR100_PYRAMIDNET110, "backbone": "pyramidnet200", "mixer.alpha": 1.0}
CIFAR100_PREACT_RESNET18: Recipe = {
    **CIFAR100_RESNET18,
    "backbone": "preact_resnet18",
    "epochs": 300,
    "lr": 0.2,
    "nesterov": True,
    "schedule": "multistep",
    "milestones": (1 / 3, 2 / 3),
    "mixer.alpha": 2.0,
}

# --- Strengths ---

TRANSFORMERS = ("deit_small", "swin_tiny", "convnext_tiny", "convnext_tiny_cifar")

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
    # From their own papers: K-image mixing for PyramidNet-110 and ImageNet, SuperMix, AugMix.
    "dmixup": (1 / 3, 1 / 3),
    "dcutmix": (0.2, 0.2),
    "saliency_dcutmix": (1 / 3, 1 / 3),
    "supermix": (3.0, 3.0),
    "augmix": (1.0, 1.0),
}

# zeta by data set, backbone and mixer: SUMix Tables 7 to 9.
ZETA: dict[str, dict[str, dict[str, float]]] = {
    "cifar100": {
        "resnet18": {"cutmix": 0.5, "fmix": 1.0, "saliencymix": 0.5, "resizemix": 0.2},
        "resnext50": {"cutmix": 0.5, "fmix": 1.0, "saliencymix": 1.0, "resizemix": 0.5},
        "wrn28_8": {"cutmix": 0.5, "fmix": 0.5, "saliencymix": 0.5, "resizemix": 0.5},
        "deit_small": {"cutmix": 0.5, "fmix": 0.5, "saliencymix": 0.5, "resizemix": 0.5},
        "swin_tiny": {"cutmix": 0.5, "fmix": 0.5, "saliencymix": 0.5, "resizemix": 0.5},
    },
    "cub200": {
        "resnet18_imagenet": {"cutmix": 1.0, "fmix": 0.5, "saliencymix": 0.5, "resizemix": 0.5},
        "resnext50_imagenet": {"cutmix": 0.5, "fmix": 0.1, "saliencymix": 0.2, "resizemix": 0.5},
    },
    "aircraft": {
        "resnet18_imagenet": {"cutmix": 1.0, "fmix": 0.5, "saliencymix": 1.0, "resizemix": 0.5},
        "resnext50_imagenet": {"cutmix": 0.5, "fmix": 0.5, "saliencymix": 0.5, "resizemix": 0.5},
    },
}
ZETA_OF_DATASET = {"tiny_imagenet": 1.0, "imagenet": 0.5}  # whatever the mixer: section 5.2


def sumix_settings(config: Mapping[str, Any]) -> Recipe:
    """Return the alpha and zeta of SUMix's tables for a cell, and nothing that they do not have."""
    dataset, backbone, mixer = (config.get(key) for key in ("dataset", "backbone", "mixer"))
    settings: Recipe = {}
    if mixer in ALPHA:
        settings["mixer.alpha"] = ALPHA[mixer][backbone in TRANSFORMERS]
    zeta = ZETA.get(str(dataset), {}).get(str(backbone), {}).get(str(mixer), ZETA_OF_DATASET.get(str(dataset)))
    return settings if zeta is None else {**settings, "sumix.zeta": zeta}


# --- AutoMix: OM configs/classification/cifar100/automix ---

# The rate does not go to 0, because the slow copy is tested.
AUTOMIX_ON_CIFAR100: Recipe = {"mixer": "automix", "min_lr": 0.05}
FEW_EPOCHS = 20


def automix_settings(config: Mapping[str, Any]) -> Recipe:
    """Return settings besides ``sumix_settings``: in a short run AutoMix needs a copy that leaves its start in time."""
    short = config.get("mixer") == "automix" and config.get("epochs", FEW_EPOCHS) < FEW_EPOCHS
    return {"mixer.first_momentum": 0.98, "mixer.last_momentum": 0.98} if short else {}


# --- Presets ---

# The keys that a study is about, which stay in a short preset.
_ABOUT = ("dataset", "mixer", "sumix")
_RECIPES = [value for value in list(vars().values()) if isinstance(value, dict) and "lr" in value]

# Real images and a network that learns something, on two processor cores. A residual branch that starts at zero,
# as the papers' does, needs more epochs than these to catch up. Whatever else a recipe may set returns to its default.
_LAPTOP: Recipe = {
    **{key: flatten(DEFAULTS)[key] for recipe in _RECIPES for key in recipe if not key.startswith(_ABOUT)},
    "backbone": "resnet8",
    "init": "torch_default",
    "batch_size": 32,
    "lr": 0.05,
    "lr_changes": "each_step",
}

# The values that `--preset` changes in a study: configuration keys, and the number of seeds.
PRESETS: dict[str, Recipe] = {
    "paper": {},
    "quick": {**_LAPTOP, "train_images": 4000, "epochs": 3},  # minutes
    "smoke": {**_LAPTOP, "train_images": 300, "test_images": 1000, "epochs": 2, "seeds": 1},  # shows that it runs
}

# For a study whose own data set cannot be fetched automatically: its short presets run on CIFAR-10.
ON_CIFAR10: dict[str, Recipe] = {"quick": {"dataset": "cifar10"}, "smoke": {"dataset": "cifar10"}}
