"""The papers' training recipes as plain values with dotted keys, and the strengths of SUMix and of every mixer.

OM is the configuration of OpenMixup that SUMix and AutoMix follow (Li et al. 2022, arXiv:2209.04851). A study starts
from one recipe, a level may switch to another, and an arm changes the keys of its own question.
"""

# ruff: noqa: F401 - the names are imported for the studies.

from trainables.config import Recipe
from trainables.recipes.by_cell import cell_settings, published_settings, recipe_of
from trainables.recipes.k_image import (
    CIFAR100_PREACT_RESNET18,
    CIFAR100_PYRAMIDNET110,
    CIFAR100_PYRAMIDNET200,
    CIFAR100_RESNEXT29,
    CIFAR100_WRN16_8,
    CUTMIX_IMAGENET,
    CUTMIX_PYRAMIDNET110,
    CUTMIX_PYRAMIDNET200,
    PROTOCOLS_110,
    PROTOCOLS_200,
)
from trainables.recipes.large_images import (
    AIRCRAFT,
    CONVNEXT,
    CUB200,
    DEIT,
    IMAGENET_RESNET18,
    INAT2017,
    INAT2018,
    PLACES205,
    RSB_A2,
    RSB_A3,
    SWIN,
)
from trainables.recipes.learned_masks import automix_settings
from trainables.recipes.presets import ON_CIFAR10, TRANSFORMER_ON_CIFAR10
from trainables.recipes.small_images import (
    CIFAR10_RESNET18,
    CIFAR10_RESNEXT50,
    CIFAR100_CONVNEXT_TINY,
    CIFAR100_DEIT_SMALL,
    CIFAR100_RESNET18,
    CIFAR100_RESNEXT50,
    CIFAR100_SWIN_TINY,
    CIFAR100_WRN28_8,
    CIFAR100_WRN28_8_PAPER,
    TINY_IMAGENET,
    TINY_IMAGENET_RESNEXT50,
)
from trainables.recipes.strengths import ALPHA, RAW_PASS, SUMIX, TRANSFORMERS, WITHOUT_SUMIX, ZETA, sumix_settings
