"""Recipes for images of 32 and 64 pixels: CIFAR-10, CIFAR-100 and Tiny-ImageNet, and transformers on CIFAR-100.

SUMix section 5.3, AutoMix section 4.1; OM configs/classification/{cifar10,cifar100,tiny_imagenet}.
"""

from trainables.config import Recipe

# SGD, a cosine per epoch from 0.1 to 0, crops of images padded by reflection, flips.
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
CIFAR100_WRN28_8: Recipe = {**CIFAR100_RESNET18, "backbone": "wrn28_8", "epochs": 400, "lr": 0.03, "weight_decay": 1e-3}
CIFAR100_WRN28_8_PAPER: Recipe = {**CIFAR100_WRN28_8, "backbone": "wrn28_8_paper"}  # to compare the variants

# OM pads the images of CIFAR-10, unlike those of CIFAR-100, with zeros.
CIFAR10_RESNET18: Recipe = {**CIFAR100_RESNET18, "dataset": "cifar10", "augment.padding": "zeros"}
CIFAR10_RESNEXT50: Recipe = {**CIFAR10_RESNET18, "backbone": "resnext50"}

TINY_IMAGENET: Recipe = {
    **CIFAR100_RESNET18,
    "dataset": "tiny_imagenet",
    "augment": "rrc_flip",
    "epochs": 400,
    "lr": 0.2,
    "sumix.zeta": 1.0,
}
TINY_IMAGENET_RESNEXT50: Recipe = {**TINY_IMAGENET, "backbone": "resnext50"}

# What transformers are trained with everywhere: the recipe of DeiT.
TRANSFORMER: Recipe = {
    "init": "om_table",
    "augment": "rrc_flip",
    "augment.operations": 2,
    "augment.level_std": 0.5,
    "optimiser": "adamw",
    "weight_decay": 0.05,
    "weight_decay_on": "matrices",
    "grad_clip": 5.0,
    "lr_changes": "each_step",
    "label_smoothing": 0.1,
}
# At 224 pixels: OM configs/classification/cifar100/mixups/vits. Its DeiT-S passes its drop-path, 0.1, under a name that
# its class ignores: its numbers are without drop-path.
CIFAR100_DEIT_SMALL: Recipe = {
    **TRANSFORMER,
    "dataset": "cifar100",
    "image_size": 224,
    "backbone": "deit_small",
    "augment.scale": 0.8,
    "augment.randaugment": "fixmatch",
    "augment.level": 7.0,
    "epochs": 200,
    "batch_size": 100,
    "lr": 1e-3,
    "min_lr": 1e-6,
    "warmup_epochs": 20,
    "warmup_start": 1e-5,
    "mixer.alpha": 2.0,
    "sumix.zeta": 0.5,
}
CIFAR100_SWIN_TINY: Recipe = {**CIFAR100_DEIT_SMALL, "backbone": "swin_tiny", "lr": 5e-4, "drop_path": 0.2}
# At 32 pixels, cropped as for ResNets.
CIFAR100_CONVNEXT_TINY: Recipe = {
    **CIFAR100_DEIT_SMALL,
    "image_size": 32,
    "augment": "crop_flip",
    "backbone": "convnext_tiny_cifar",
    "drop_path": 0.3,
    "grad_clip": None,
}
