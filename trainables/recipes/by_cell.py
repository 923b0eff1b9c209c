"""The recipe of every data set and network, so that a level that changes the network changes the recipe with it."""

from collections.abc import Iterator, Mapping
from typing import Any

from trainables.config import Recipe
from trainables.recipes import k_image
from trainables.recipes import large_images as large
from trainables.recipes import small_images as small
from trainables.recipes.learned_masks import automix_settings, strengths
from trainables.recipes.strengths import SMALL, sumix_settings

# Each recipe names its data set and network. A network without one takes its own of CIFAR-100 for small images, and
# otherwise the first of the data set.
RECIPES: tuple[Recipe, ...] = (
    *(small.CIFAR10_RESNET18, small.CIFAR10_RESNEXT50),
    *(small.CIFAR100_RESNET18, small.CIFAR100_RESNEXT50, small.CIFAR100_WRN28_8, small.CIFAR100_WRN28_8_PAPER),
    *(small.CIFAR100_DEIT_SMALL, small.CIFAR100_SWIN_TINY, small.CIFAR100_CONVNEXT_TINY),
    *(k_image.CIFAR100_PYRAMIDNET110, k_image.CIFAR100_PYRAMIDNET200),
    *(k_image.CIFAR100_PREACT_RESNET18, k_image.CIFAR100_WRN16_8, k_image.CIFAR100_RESNEXT29),
    *(small.TINY_IMAGENET, small.TINY_IMAGENET_RESNEXT50),
    *(large.IMAGENET_RESNET18, large.DEIT, large.SWIN, large.CONVNEXT),
    *(large.INAT2017, large.INAT2018, large.PLACES205, large.CUB200, large.AIRCRAFT),
)
# The recipes of further papers, or of their code, for data sets and networks of the above.
OTHERS: tuple[Recipe, ...] = (
    *(k_image.CUTMIX_PYRAMIDNET110, k_image.CUTMIX_PYRAMIDNET200, k_image.CUTMIX_IMAGENET),
    *({**recipe, "dataset": "cifar10"} for recipe in k_image.PROTOCOLS_200.values()),
    *(large.RSB_A2, large.RSB_A3),
)


def recipe_of(config: Mapping[str, Any]) -> Recipe:
    """Return the recipe of the cell's data set and network, without a mixer; nothing where none is known."""
    dataset, backbone = config.get("dataset"), config.get("backbone")
    own = [recipe for recipe in RECIPES if recipe["dataset"] == dataset]
    alike = [recipe for recipe in RECIPES if dataset in SMALL and recipe["dataset"] == "cifar100"]
    found = next((recipe for recipe in own + alike if recipe["backbone"] == backbone), own[0] if own else None)
    if found is None:
        return {}
    kept = {key: value for key, value in found.items() if not key.startswith("mixer")}
    return {**kept, "dataset": dataset, "backbone": backbone}


def published_settings(config: Mapping[str, Any]) -> Iterator[Recipe]:
    """Yield all that a paper may set for a cell: each recipe of its network, with SUMix's strengths and with AutoMix's.

    ``config`` holds the cell's data set, network, mixer and epochs, and any setting that the paper's table varies.
    """
    cell = [config.get(key) for key in ("dataset", "backbone")]
    for recipe in (recipe_of(config), *RECIPES, *OTHERS):
        if recipe and [recipe["dataset"], recipe["backbone"]] == cell:
            recipe = {**recipe, **config}
            yield {**recipe, **sumix_settings(recipe), **config}
            yield {**recipe, **strengths(recipe), **automix_settings(recipe), **config}


def cell_settings(config: Mapping[str, Any]) -> Recipe:
    """Return all that AutoMix's tables set for a cell: the network's recipe, the mixer's strength, AutoMix's own."""
    recipe = recipe_of(config)
    return {**recipe, **strengths({**config, **recipe}), **automix_settings(config)}
