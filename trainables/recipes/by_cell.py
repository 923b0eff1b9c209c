"""The recipe of every data set and network, so that a level that changes the network changes the recipe with it."""

from collections.abc import Mapping
from typing import Any

from trainables.config import Recipe
from trainables.recipes import k_image
from trainables.recipes import large_images as large
from trainables.recipes import small_images as small
from trainables.recipes.learned_masks import automix_settings, strengths

# Each recipe names its data set and network. The first of a data set is that of every network that has none of its own.
RECIPES: tuple[Recipe, ...] = (
    *(small.CIFAR10_RESNET18, small.CIFAR10_RESNEXT50),
    *(small.CIFAR100_RESNET18, small.CIFAR100_RESNEXT50, small.CIFAR100_WRN28_8),
    *(small.CIFAR100_DEIT_SMALL, small.CIFAR100_SWIN_TINY, small.CIFAR100_CONVNEXT_TINY),
    *(k_image.CIFAR100_PYRAMIDNET110, k_image.CIFAR100_PYRAMIDNET200),
    *(k_image.CIFAR100_PREACT_RESNET18, k_image.CIFAR100_WRN16_8, k_image.CIFAR100_RESNEXT29),
    *(small.TINY_IMAGENET, small.TINY_IMAGENET_RESNEXT50),
    *(large.IMAGENET_100, large.DEIT, large.SWIN, large.CONVNEXT),
    *(large.INAT2017, large.INAT2018, large.PLACES205, large.CUB200, large.AIRCRAFT),
)


def recipe_of(config: Mapping[str, Any]) -> Recipe:
    """Return the recipe of the cell's data set and network, without a mixer; nothing for a data set without recipes."""
    recipes = [recipe for recipe in RECIPES if recipe["dataset"] == config.get("dataset")]
    if not recipes:
        return {}
    backbone = config.get("backbone")
    found = next((recipe for recipe in recipes if recipe["backbone"] == backbone), recipes[0])
    kept = {key: value for key, value in found.items() if not key.startswith("mixer")}
    return {**kept, "backbone": backbone}


def cell_settings(config: Mapping[str, Any]) -> Recipe:
    """Return all that AutoMix's tables set for a cell: the network's recipe, the mixer's strength, AutoMix's own."""
    recipe = recipe_of(config)
    return {**recipe, **strengths({**config, **recipe}), **automix_settings(config)}
