"""Recipes of K-image mixing (Jeong et al., IEEE Access 2023) and Co-Mixup (arXiv:2102.03065), from their own code.

The paper says that it trains as CutMix does (Yun et al., ICCV 2019, arXiv:1905.04899), and its released code trains
otherwise: both protocols are here, under CUTMIX_ and CIFAR100_. All of them normalise CIFAR-100 by the statistics of
CIFAR-10, as OpenMixup and the released code do. CutMix's code divides by greater deviations, 0.247, 0.244 and 0.262.
Co-Mixup's code takes those of CIFAR-100 (``normalisation="own"``), and pads images by two zeros where its recipes here
reflect four pixels, as OpenMixup does. All networks start as OpenMixup's do.
"""

from trainables.config import Recipe
from trainables.recipes.small_images import CIFAR100_RESNET18

# The code of the K-image paper, whose crops are of images padded with zeros, as CutMix's are.
CIFAR100_PYRAMIDNET110: Recipe = {
    **CIFAR100_RESNET18,
    "backbone": "pyramidnet110",
    "augment.padding": "zeros",
    "epochs": 300,
    "batch_size": 64,
    "lr": 0.25,
    "nesterov": True,
    "weight_decay": 4e-5,
    "schedule": "multistep",
    "milestones": (0.75, 0.9),
}
CIFAR100_PYRAMIDNET200: Recipe = {**CIFAR100_PYRAMIDNET110, "backbone": "pyramidnet200", "mixer.alpha": 1.0}

# The code of CutMix for the same networks.
CUTMIX_PYRAMIDNET110: Recipe = {**CIFAR100_PYRAMIDNET110, "weight_decay": 1e-4, "milestones": (0.5, 0.75)}
CUTMIX_PYRAMIDNET200: Recipe = {**CIFAR100_PYRAMIDNET200, "weight_decay": 1e-4, "milestones": (0.5, 0.75)}

# The code of CutMix for ImageNet: a step every 75 epochs, colour jitter and PCA lighting. There no batch norm starts
# at 0, as the last of each block does here.
CUTMIX_IMAGENET: Recipe = {
    "dataset": "imagenet",
    "backbone": "resnet50_imagenet",
    "init": "om_table",
    "augment": "rrc_flip",
    "interpolation": "bilinear",
    "augment.jitter": 0.4,
    "augment.lighting": 0.1,
    "epochs": 300,
    "batch_size": 256,
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 1e-4,
    "schedule": "multistep",
    "milestones": (0.25, 0.5, 0.75),
    "mixer.alpha": 1.0,
}

# The code of Co-Mixup, whose baselines the K-image paper prints in its Table 2.
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
CIFAR100_WRN16_8: Recipe = {**CIFAR100_PREACT_RESNET18, "backbone": "wrn16_8"}
CIFAR100_RESNEXT29: Recipe = {**CIFAR100_PREACT_RESNET18, "backbone": "resnext29"}

# The two protocols, as the levels of a factor.
PROTOCOLS_110: dict[str, Recipe] = {"CutMix's code": CUTMIX_PYRAMIDNET110, "the authors' code": CIFAR100_PYRAMIDNET110}
PROTOCOLS_200: dict[str, Recipe] = {"CutMix's code": CUTMIX_PYRAMIDNET200, "the authors' code": CIFAR100_PYRAMIDNET200}
