"""The recipes can be run, and their values are those that the papers print."""

import inspect

import pytest

from trainables import recipes
from trainables.backbones import BACKBONES
from trainables.config import flatten, mixer_options, parse
from trainables.datasets import DATASETS
from trainables.mixers import MIXERS
from trainables.recipes import ALPHA, TRANSFORMERS, ZETA, recipe_of
from trainables.recipes.by_cell import RECIPES as BY_CELL
from trainables.recipes.learned_masks import ALPHA_OF_DATASET, RELEASED
from trainables.recipes.presets import PRESETS

RECIPES = {
    name: value for name, value in vars(recipes).items() if isinstance(value, dict) and name.isupper() and "lr" in value
}


def test_the_tables_name_what_is_there():
    assert all("alpha" in inspect.signature(MIXERS[mixer]).parameters for mixer in ALPHA)
    assert {dataset for dataset, _ in ZETA} <= set(DATASETS)
    assert {backbone for _, backbone in ZETA} <= set(BACKBONES)
    assert set(TRANSFORMERS) <= set(BACKBONES)
    options = mixer_options("automix", {})
    for settings in (settings for kinds in RELEASED.values() for settings in kinds):
        assert all(key == "lr" or key == "min_lr" or key.removeprefix("mixer.") in options for key in settings)
    assert all(recipe in RECIPES.values() for recipe in BY_CELL)
    assert set(RELEASED) == {recipe["dataset"] for recipe in BY_CELL}
    assert set(ALPHA_OF_DATASET) <= set(DATASETS)
    assert {mixer for alphas in ALPHA_OF_DATASET.values() for mixer in alphas} <= set(ALPHA)


@pytest.mark.parametrize(
    ("dataset", "backbone", "wanted"),
    [
        ("cifar100", "wrn28_8", "CIFAR100_WRN28_8"),
        ("cifar100", "wrn28_8_paper", "CIFAR100_WRN28_8"),
        ("cifar100", "deit_small", "CIFAR100_DEIT_SMALL"),
        ("cifar10", "resnext50", "CIFAR10_RESNEXT50"),
        ("cifar10", "swin_tiny", "CIFAR100_SWIN_TINY"),
        ("fashion_mnist", "wrn28_8", "CIFAR100_WRN28_8"),
        ("cifar10", "resnet8", "CIFAR10_RESNET18"),
        ("cifar100", "resnet34", "CIFAR100_RESNET18"),
        ("imagenet", "resnet101_imagenet", "IMAGENET_RESNET18"),
        ("imagenet", "convnext_tiny", "CONVNEXT"),
        ("inat2018", "resnext101_imagenet", "INAT2018"),
        ("aircraft", "resnext50_imagenet", "AIRCRAFT"),
        ("cub200", "resnet50_imagenet", "CUB200"),
        ("fashion_mnist", "resnet8", None),
    ],
)
def test_each_data_set_and_network_has_its_recipe(dataset, backbone, wanted):
    """A network without one has its own of CIFAR-100 on small images, and else the first of the data set."""
    recipe = {**RECIPES[wanted], "dataset": dataset, "backbone": backbone} if wanted else {}
    found = recipe_of({"dataset": dataset, "backbone": backbone})
    assert found == {key: value for key, value in recipe.items() if not key.startswith("mixer")}
    parse(found)


@pytest.mark.parametrize("name", RECIPES)
def test_a_short_preset_leaves_nothing_of_a_large_recipe(name):
    """On the same data every recipe becomes the one small run, except for the subject of a study: mixer and zeta."""
    mixer = {key: value for key, value in RECIPES[name].items() if key.startswith("mixer")}
    about = {"mixer": "cutmix", **mixer, "dataset": "cifar10", "mixer.alpha": 1.0, "sumix.zeta": 0.5}
    for preset in ("quick", "smoke"):
        keys = {key: value for key, value in PRESETS[preset].items() if key != "seeds"}
        small = parse({**RECIPES[name], **keys, **about})
        assert small == parse({**keys, **about})
        assert small.backbone == "resnet8"


ONE_COSINE = {"schedule": "cosine", "lr_changes": "each_epoch", "min_lr": 0.0, "warmup_epochs": 0, "nesterov": False}
SGD = {**ONE_COSINE, "init": "om_table", "momentum": 0.9, "weight_decay": 1e-4}
STEPS = {**SGD, "epochs": 300, "nesterov": True, "schedule": "multistep", "augment": "crop_flip"}
CROPS = {**SGD, "augment": "rrc_flip", "augment.scale": 0.08, "interpolation": "bicubic"}
SMALL = {**SGD, "batch_size": 100, "augment": "crop_flip", "augment.padding": "reflect", "mixer.alpha": 0.2}
ADAMW = {
    **{"optimiser": "adamw", "weight_decay": 0.05, "weight_decay_on": "matrices", "lr_changes": "each_step"},
    **{"label_smoothing": 0.1, "init": "om_table", "interpolation": "bicubic"},
    **{"augment": "rrc_flip", "augment.operations": 2, "augment.level_std": 0.5},
}
# How a network is trained, how the rate falls, and what is done to the images.
CIFAR100_DEIT_SMALL = {
    **{**ADAMW, "epochs": 200, "batch_size": 100, "lr": 1e-3, "min_lr": 1e-6, "warmup_epochs": 20},
    **{"warmup_start": 1e-5, "grad_clip": 5.0, "drop_path": 0.0, "image_size": 224, "mixer.alpha": 2.0},
    **{"augment.scale": 0.8, "augment.randaugment": "fixmatch", "augment.level": 7.0, "augment.erasing": 0.0},
}
DEIT = {
    **{**ADAMW, "epochs": 300, "batch_size": 1024, "lr": 1e-3, "min_lr": 1e-5, "warmup_epochs": 5},
    **{"warmup_start": 1e-6, "grad_clip": 5.0, "drop_path": 0.1},
    **{"augment.randaugment": "increasing", "augment.level": 9.0},
    **{"augment.erasing": 0.25, "augment.jitter": 0.0},  # timm jitters no colours under RandAugment
    **{"mixer": "mixup_cutmix", "mixer.mixup_alpha": 0.8, "mixer.alpha": 1.0, "mixer.cutmix_share": 0.5},
}
RSB_A2 = {
    **{"epochs": 300, "batch_size": 2048, "lr": 0.005, "min_lr": 1e-6, "weight_decay": 0.02, "optimiser": "lamb"},
    **{"weight_decay_on": "matrices", "grad_clip": 1.0, "loss": "binary", "warmup_epochs": 5, "warmup_start": 1e-5},
    **{"drop_path": 0.05, "image_size": 224, "resize": 236, "test_size": 224, "augment": "rrc_flip"},
    **{"augment.randaugment": "increasing", "augment.operations": 2, "augment.level": 7.0, "augment.level_std": 0.5},
    **{"mixer": "mixup_cutmix", "mixer.mixup_alpha": 0.1, "mixer.alpha": 1.0},
}
CIFAR100_PYRAMIDNET110 = {
    **{**STEPS, "batch_size": 64, "lr": 0.25, "weight_decay": 4e-5, "milestones": (0.75, 0.9)},
    **{"augment.padding": "zeros", "mixer.alpha": 0.2},
}
OF_CUTMIX = {"weight_decay": 1e-4, "milestones": (0.5, 0.75)}
PRINTED = {
    "CIFAR100_RESNET18": {**SMALL, "epochs": 800, "lr": 0.1, "sumix.zeta": 0.5},
    "CIFAR10_RESNET18": {**SMALL, "epochs": 800, "lr": 0.1, "augment.padding": "zeros"},
    "CIFAR100_WRN28_8": {**SMALL, "epochs": 400, "lr": 0.03, "weight_decay": 1e-3},
    "TINY_IMAGENET": {**CROPS, "epochs": 400, "batch_size": 100, "lr": 0.2, "sumix.zeta": 1.0},
    "IMAGENET_RESNET18": {**CROPS, "epochs": 100, "batch_size": 256, "lr": 0.1},
    "CUB200": {
        **{**CROPS, "epochs": 200, "batch_size": 16, "drop_last": True, "lr": 0.001, "weight_decay": 5e-4},
        **{"augment.resize": 256, "augment.scale": 0.5, "interpolation": "bilinear", "pretrained": "IMAGENET1K_V1"},
    },
    "CIFAR100_DEIT_SMALL": CIFAR100_DEIT_SMALL,
    "CIFAR100_SWIN_TINY": {**CIFAR100_DEIT_SMALL, "lr": 5e-4, "drop_path": 0.2},
    "CIFAR100_CONVNEXT_TINY": {
        **{**CIFAR100_DEIT_SMALL, "grad_clip": None, "drop_path": 0.3},
        **{"image_size": 32, "augment": "crop_flip", "augment.padding": "reflect"},
    },
    "DEIT": DEIT,
    "SWIN": {**DEIT, "warmup_epochs": 20, "drop_path": 0.2},
    "CONVNEXT": {**DEIT, "warmup_epochs": 20, "grad_clip": None},
    "RSB_A2": RSB_A2,
    "RSB_A3": {**RSB_A2, "epochs": 100, "lr": 0.008, "image_size": 160, "augment.level": 6.0, "drop_path": 0.0},
    "CIFAR100_PYRAMIDNET110": CIFAR100_PYRAMIDNET110,
    "CIFAR100_PYRAMIDNET200": {**CIFAR100_PYRAMIDNET110, "mixer.alpha": 1.0},
    "CUTMIX_PYRAMIDNET110": {**CIFAR100_PYRAMIDNET110, **OF_CUTMIX},
    "CUTMIX_PYRAMIDNET200": {**CIFAR100_PYRAMIDNET110, **OF_CUTMIX, "mixer.alpha": 1.0},
    "CUTMIX_IMAGENET": {
        **{**STEPS, "batch_size": 256, "lr": 0.1, "milestones": (0.25, 0.5, 0.75), "mixer.alpha": 1.0},
        **{"augment": "rrc_flip", "interpolation": "bilinear", "augment.jitter": 0.4, "augment.lighting": 0.1},
    },
    "CIFAR100_PREACT_RESNET18": {
        **{**STEPS, "batch_size": 100, "lr": 0.2, "milestones": (1 / 3, 2 / 3), "mixer.alpha": 2.0},
        "augment.padding": "reflect",
    },
}


# Recipes with the values of another network's or data set's: AutoMix, sections 4.1 and 4.2, and Co-Mixup's code.
ALIKE = {
    **{"CIFAR10_RESNEXT50": "CIFAR10_RESNET18", "CIFAR100_RESNEXT50": "CIFAR100_RESNET18"},
    **{"CIFAR100_WRN28_8_PAPER": "CIFAR100_WRN28_8", "TINY_IMAGENET_RESNEXT50": "TINY_IMAGENET", "AIRCRAFT": "CUB200"},
    **dict.fromkeys(("INAT2017", "INAT2018", "PLACES205"), "IMAGENET_RESNET18"),
    **dict.fromkeys(("CIFAR100_WRN16_8", "CIFAR100_RESNEXT29"), "CIFAR100_PREACT_RESNET18"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_the_printed_values(name):
    config = flatten(parse({"mixer": "cutmix", **RECIPES[name]}))
    printed = PRINTED[ALIKE.get(name, name)]
    assert {key: config[key] for key in printed} == printed
