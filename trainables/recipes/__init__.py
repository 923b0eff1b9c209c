"""The papers' training recipes as plain values with dotted keys, and the strengths of SUMix and of every mixer.

OM is the configuration of OpenMixup that SUMix and AutoMix follow (Li et al. 2022, arXiv:2209.04851). A study starts
from one recipe, a level may switch to another, and an arm changes the keys of its own question.
"""

# ruff: noqa: F401, F403 - the names are imported for the studies.

from trainables.config import Recipe
from trainables.recipes.by_cell import cell_settings, published_settings, recipe_of
from trainables.recipes.k_image import *
from trainables.recipes.large_images import *
from trainables.recipes.learned_masks import automix_settings
from trainables.recipes.presets import ON_CIFAR10, TRANSFORMER_ON_CIFAR10
from trainables.recipes.small_images import *
from trainables.recipes.strengths import ALPHA, RAW_PASS, SUMIX, TRANSFORMERS, WITHOUT_SUMIX, ZETA, sumix_settings
