"""Recipes for photographs of 224 pixels: ImageNet, iNaturalist, Places205, and fine-tuning on CUB-200 and Aircraft.

"PyTorch-style" is SUMix section 5.3 and AutoMix section 4.1, procedure (a); OM configs/classification/{imagenet,cub200,
aircrafts,inaturalist,place205}. The transformers follow DeiT (arXiv:2012.12877) and Swin (arXiv:2103.14030), ConvNeXt
AutoMix's procedure (b), and RSB is "ResNet strikes back" (Wightman, Touvron, Jegou 2021, arXiv:2110.00476).
"""

from trainables.config import Recipe
from trainables.recipes.small_images import CIFAR100_RESNET18, TRANSFORMER

# OM trains on 4 devices with 64 images each.
IMAGENET_RESNET18: Recipe = {
    **CIFAR100_RESNET18,
    "dataset": "imagenet",
    "backbone": "resnet18_imagenet",
    "augment": "rrc_flip",
    "epochs": 100,
    "batch_size": 256,
}
INAT2017: Recipe = {**IMAGENET_RESNET18, "dataset": "inat2017", "backbone": "resnet50_imagenet"}
INAT2018: Recipe = {**INAT2017, "dataset": "inat2018"}
PLACES205: Recipe = {**IMAGENET_RESNET18, "dataset": "places205"}

# torchvision's weights are fine-tuned.
CUB200: Recipe = {
    **IMAGENET_RESNET18,
    "dataset": "cub200",
    "pretrained": "IMAGENET1K_V1",
    "augment.resize": 256,
    "augment.scale": 0.5,
    "interpolation": "bilinear",
    "epochs": 200,
    "batch_size": 16,
    "drop_last": True,
    "lr": 0.001,
    "weight_decay": 5e-4,
}
AIRCRAFT: Recipe = {**CUB200, "dataset": "aircraft"}

# The mixers' defaults are the papers': mixup (alpha 0.8) and CutMix (1.0), each for half of the images. The papers also
# name a colour jitter of 0.4, which timm, whose transforms all of their codes use, leaves out under RandAugment.
DEIT: Recipe = {
    **TRANSFORMER,
    "dataset": "imagenet",
    "backbone": "deit_small",
    "drop_path": 0.1,
    "mixer": "mixup_cutmix",
    "augment.randaugment": "increasing",
    "augment.level": 9.0,
    "augment.erasing": 0.25,
    "epochs": 300,
    "batch_size": 1024,
    "lr": 1e-3,
    "min_lr": 1e-5,
    "warmup_epochs": 5,
    "warmup_start": 1e-6,
}
SWIN: Recipe = {**DEIT, "backbone": "swin_tiny", "drop_path": 0.2, "warmup_epochs": 20}
# As DeiT, with the drop-path that ConvNeXt's paper has for this size (arXiv:2201.03545, Table 5), and no clipping.
CONVNEXT: Recipe = {**DEIT, "backbone": "convnext_tiny", "drop_path": 0.1, "grad_clip": None, "warmup_epochs": 20}

# A2 shows each image of a batch three times, as does OM's configuration since June 2022; this recipe does not. LAMB
# itself clips the gradient in the codes of both. OM sums the loss over the classes, where the paper and this take the
# mean, so that it clips far more often.
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
RSB_A3: Recipe = {**RSB_A2, "drop_path": 0.0, "augment.level": 6.0, "image_size": 160, "epochs": 100, "lr": 0.008}
