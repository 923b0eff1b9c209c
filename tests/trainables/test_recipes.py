"""The recipes can be run, and the strengths are those that the papers print."""

import inspect
from typing import Any

import pytest

from trainables import recipes
from trainables.backbones import BACKBONES
from trainables.config import flatten, mixer_options, parse
from trainables.datasets import DATASETS
from trainables.mixers import MIXERS
from trainables.recipes import ALPHA, TRANSFORMERS, ZETA, automix_settings, cell_settings, recipe_of, sumix_settings
from trainables.recipes.by_cell import RECIPES as BY_CELL
from trainables.recipes.learned_masks import ALPHA_OF_DATASET, LEARNED, RELEASED
from trainables.recipes.presets import PRESETS
from trainables.recipes.strengths import SMALL

RECIPES = {
    name: value for name, value in vars(recipes).items() if isinstance(value, dict) and name.isupper() and "lr" in value
}

# SUMix, appendix A.1, as printed.
TABLE_7 = """
                ResNet18  ResNeXt50  W-ResNet28-8  DeiT-Small  Swin-Tiny
CutMix          0.5       0.5        0.5           0.5         0.5
FMix            1.0       1.0        0.5           0.5         0.5
SaliencyMix     0.5       1.0        0.5           0.5         0.5
ResizeMix       0.2       0.5        0.5           0.5         0.5
"""
TABLE_8 = """
                ResNet18  ResNeXt50
CutMix          1.0       0.5
FMix            0.5       0.1
SaliencyMix     0.5       0.2
ResizeMix       0.5       0.5
"""
TABLE_9 = """
                ResNet18  ResNeXt50
CutMix          1.0       0.5
FMix            0.5       0.5
SaliencyMix     1.0       0.5
ResizeMix       0.5       0.5
"""
NAMES = {
    "cifar100": {
        **{"ResNet18": "resnet18", "ResNeXt50": "resnext50", "W-ResNet28-8": "wrn28_8"},
        **{"DeiT-Small": "deit_small", "Swin-Tiny": "swin_tiny"},
    },
    "cub200": {"ResNet18": "resnet18_imagenet", "ResNeXt50": "resnext50_imagenet"},
    "aircraft": {"ResNet18": "resnet18_imagenet", "ResNeXt50": "resnext50_imagenet"},
}


@pytest.mark.parametrize(("dataset", "table"), [("cifar100", TABLE_7), ("cub200", TABLE_8), ("aircraft", TABLE_9)])
def test_zeta_is_that_of_the_paper(dataset: str, table: str) -> None:
    head, *rows = (line.split() for line in table.strip().splitlines())
    printed = {
        (NAMES[dataset][network], row[0].lower()): float(value)
        for row in rows
        for network, value in zip(head, row[1:], strict=True)
    }
    of_dataset = {network: mixers for (name, network), mixers in ZETA.items() if name == dataset}
    ours = {(network, mixer): zeta for network, mixers in of_dataset.items() for mixer, zeta in mixers.items()}
    assert ours == printed
    for (network, mixer), zeta in printed.items():
        assert sumix_settings({"dataset": dataset, "backbone": network, "mixer": mixer})["sumix.zeta"] == zeta


def test_zeta_of_whole_data_sets_and_of_none() -> None:
    for mixer in ("cutmix", "fmix", "saliencymix", "resizemix"):
        assert sumix_settings({"dataset": "tiny_imagenet", "backbone": "resnext50", "mixer": mixer})["sumix.zeta"] == 1
        assert sumix_settings({"dataset": "imagenet", "backbone": "resnet18_imagenet", "mixer": mixer}) == {
            "mixer.alpha": 1.0 if mixer == "resizemix" else 0.2,
            "sumix.zeta": 0.5,
        }
    assert "sumix.zeta" not in sumix_settings({"dataset": "cifar10", "backbone": "resnet8", "mixer": "fmix"})
    assert sumix_settings({"dataset": "cifar100", "backbone": "resnet18", "mixer": "none"}) == {}


def test_alpha_is_that_of_section_5_2() -> None:
    convolutional = {"cutmix": 0.2, "fmix": 0.2, "saliencymix": 0.2, "resizemix": 1.0, "puzzlemix": 1.0}
    transformer = {"cutmix": 2.0, "fmix": 1.0, "saliencymix": 0.2, "resizemix": 1.0, "puzzlemix": 2.0}
    for backbone, alphas in (("wrn28_8", convolutional), ("deit_small", transformer), ("swin_tiny", transformer)):
        for mixer, alpha in alphas.items():
            found = sumix_settings({"dataset": "cifar100", "backbone": backbone, "mixer": mixer})
            assert found["mixer.alpha"] == alpha


def test_the_tables_name_what_is_there() -> None:
    assert all("alpha" in inspect.signature(MIXERS[mixer]).parameters for mixer in ALPHA)
    assert {dataset for dataset, _ in ZETA} <= set(DATASETS)
    assert {backbone for _, backbone in ZETA} <= set(BACKBONES)
    assert set(TRANSFORMERS) <= set(BACKBONES)
    options = mixer_options("automix", {})
    for settings in (settings for kinds in RELEASED.values() for settings in kinds):
        assert all(key == "lr" or key == "min_lr" or key.removeprefix("mixer.") in options for key in settings)
    assert set(RELEASED) == {recipe["dataset"] for recipe in BY_CELL}
    assert set(ALPHA_OF_DATASET) <= set(DATASETS)
    assert {mixer for alphas in ALPHA_OF_DATASET.values() for mixer in alphas} <= set(ALPHA)


@pytest.mark.parametrize("backbone", ["wrn28_8", "deit_small"])
@pytest.mark.parametrize("mixer", LEARNED)
def test_a_learned_mixer_gets_all_of_automix_settings_that_it_has(mixer: str, backbone: str) -> None:
    options = {f"mixer.{name}" for name in mixer_options(mixer, {})}
    for dataset in RELEASED:
        cell = {"dataset": dataset, "backbone": backbone}
        every = automix_settings({**cell, "mixer": "automix"})
        expected = {key: value for key, value in every.items() if "." not in key or key in options}
        if (mixer, backbone) == ("adautomix", "deit_small"):
            expected["mixer.lam_margin"] = 0.0  # its masks are learned at every lambda
        assert automix_settings({**cell, "mixer": mixer}) == expected


def test_every_recipe_is_here() -> None:
    assert {(r["dataset"], r["backbone"]) for r in RECIPES.values()} >= {
        *(("cifar100", b) for b in ("resnet18", "resnext50", "wrn28_8", "deit_small", "swin_tiny")),
        *(("cifar100", b) for b in ("convnext_tiny_cifar", "pyramidnet110", "pyramidnet200", "preact_resnet18")),
        *(("tiny_imagenet", "resnet18"), ("imagenet", "resnet18_imagenet"), ("imagenet", "resnet50_imagenet")),
        *(("cub200", "resnet18_imagenet"), ("aircraft", "resnet18_imagenet")),
        *(("imagenet", "deit_small"), ("imagenet", "swin_tiny"), ("imagenet", "convnext_tiny")),
        *(("cifar10", "resnet18"), ("cifar10", "resnext50"), ("tiny_imagenet", "resnext50")),
        *(("inat2017", "resnet50_imagenet"), ("inat2018", "resnet50_imagenet"), ("places205", "resnet18_imagenet")),
    }


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_can_be_run(name: str) -> None:
    parsed = flatten(parse({"mixer": "cutmix", **RECIPES[name]}))
    assert {key: parsed[key] for key in RECIPES[name]} == RECIPES[name]


@pytest.mark.parametrize("name", RECIPES)
def test_a_short_preset_leaves_nothing_of_a_large_recipe(name: str) -> None:
    """On the same data every recipe becomes the one small run, except for the subject of a study: mixer and zeta."""
    mixer = {key: value for key, value in RECIPES[name].items() if key.startswith("mixer")}
    about = {"mixer": "cutmix", **mixer, "dataset": "cifar10", "mixer.alpha": 1.0, "sumix.zeta": 0.5}
    for preset in ("quick", "smoke"):
        keys = {key: value for key, value in PRESETS[preset].items() if key != "seeds"}
        small = parse({**RECIPES[name], **keys, **about})
        assert small == parse({**keys, **about})
        assert small.backbone == "resnet8"


# algorithms of the papers: (epochs, batch size, rate, weight decay, how it is trained)
PRINTED: dict[str, dict[str, Any]] = {
    "CIFAR100_RESNET18": {"epochs": 800, "batch_size": 100, "lr": 0.1, "weight_decay": 1e-4, "momentum": 0.9},
    "CIFAR100_WRN28_8": {"epochs": 400, "batch_size": 100, "lr": 0.03, "weight_decay": 1e-3, "momentum": 0.9},
    "TINY_IMAGENET": {"epochs": 400, "batch_size": 100, "lr": 0.2, "weight_decay": 1e-4},
    "IMAGENET_100": {"epochs": 100, "batch_size": 256, "lr": 0.1, "weight_decay": 1e-4},
    "CUB200": {"epochs": 200, "batch_size": 16, "lr": 0.001, "weight_decay": 5e-4, "pretrained": "IMAGENET1K_V1"},
    "AIRCRAFT": {"epochs": 200, "batch_size": 16, "lr": 0.001, "weight_decay": 5e-4, "pretrained": "IMAGENET1K_V1"},
    "CIFAR100_DEIT_SMALL": {"epochs": 200, "batch_size": 100, "lr": 1e-3, "weight_decay": 0.05, "optimiser": "adamw"},
    "CIFAR100_SWIN_TINY": {"epochs": 200, "batch_size": 100, "lr": 5e-4, "weight_decay": 0.05, "drop_path": 0.2},
    "CIFAR100_CONVNEXT_TINY": {"lr": 1e-3, "grad_clip": None, "drop_path": 0.3, "warmup_epochs": 20},
    "DEIT": {"epochs": 300, "batch_size": 1024, "lr": 1e-3, "warmup_epochs": 5, "grad_clip": 5.0},
    "SWIN": {"epochs": 300, "batch_size": 1024, "lr": 1e-3, "warmup_epochs": 20, "drop_path": 0.2},
    "RSB_A2": {"epochs": 300, "batch_size": 2048, "lr": 0.005, "weight_decay": 0.02, "optimiser": "lamb"},
    "RSB_A3": {"epochs": 100, "batch_size": 2048, "lr": 0.008, "image_size": 160, "loss": "binary"},
    "CIFAR100_PYRAMIDNET110": {"epochs": 300, "batch_size": 64, "lr": 0.25, "weight_decay": 4e-5, "nesterov": True},
}


# Of the same recipes: how the rate falls, and what is done to the images.
ONE_COSINE = {"schedule": "cosine", "lr_changes": "each_epoch", "min_lr": 0.0, "warmup_epochs": 0, "nesterov": False}
FROM_SMALL_CROPS = {"augment": "rrc_flip", "augment.scale": 0.08, "interpolation": "bicubic"}
FURTHER: dict[str, dict[str, Any]] = {
    "CIFAR100_RESNET18": {**ONE_COSINE, "augment": "crop_flip", "augment.padding": "reflect"},
    "CIFAR100_WRN28_8": {**ONE_COSINE, "augment": "crop_flip", "augment.padding": "reflect"},
    "TINY_IMAGENET": {**ONE_COSINE, **FROM_SMALL_CROPS},
    "IMAGENET_100": {**ONE_COSINE, **FROM_SMALL_CROPS, "momentum": 0.9},
    "CUB200": {**ONE_COSINE, "drop_last": True, "augment": "rrc_flip", "augment.resize": 256, "augment.scale": 0.5},
    "CIFAR100_DEIT_SMALL": {
        **{"lr_changes": "each_step", "min_lr": 1e-6, "warmup_epochs": 20, "warmup_start": 1e-5, "grad_clip": 5.0},
        **{"label_smoothing": 0.1, "weight_decay_on": "matrices", "drop_path": 0.0, "image_size": 224},
        **{"augment.scale": 0.8, "augment.randaugment": "fixmatch", "augment.operations": 2, "augment.level": 7.0},
        **{"augment.level_std": 0.5, "augment.erasing": 0.0, "interpolation": "bicubic"},
    },
    "DEIT": {
        **{"optimiser": "adamw", "weight_decay": 0.05, "min_lr": 1e-5, "label_smoothing": 0.1},
        **{"augment.randaugment": "increasing", "augment.level": 9.0, "augment.level_std": 0.5},
        **{"augment.erasing": 0.25, "augment.jitter": 0.4},
        **{"mixer": "mixup_cutmix", "mixer.mixup_alpha": 0.8, "mixer.alpha": 1.0, "mixer.cutmix_share": 0.5},
    },
    "RSB_A2": {
        **{"loss": "binary", "warmup_epochs": 5, "min_lr": 1e-6, "drop_path": 0.05, "resize": 236, "test_size": 224},
        **{"augment.randaugment": "increasing", "augment.level": 7.0, "augment.level_std": 0.5},
        **{"mixer": "mixup_cutmix", "mixer.mixup_alpha": 0.1, "mixer.alpha": 1.0},
    },
    "RSB_A3": {"augment.level": 6.0, "drop_path": 0.0, "optimiser": "lamb", "weight_decay": 0.02, "test_size": 224},
    "CIFAR100_PYRAMIDNET110": {"schedule": "multistep", "milestones": (0.75, 0.9), "augment.padding": "zeros"},
    "CUTMIX_PYRAMIDNET110": {
        **{"epochs": 300, "batch_size": 64, "lr": 0.25, "weight_decay": 1e-4, "nesterov": True},
        **{"schedule": "multistep", "milestones": (0.5, 0.75)},
    },
    "CUTMIX_IMAGENET": {
        **{"epochs": 300, "batch_size": 256, "lr": 0.1, "weight_decay": 1e-4, "nesterov": True},
        **{"schedule": "multistep", "milestones": (0.25, 0.5, 0.75), "augment.jitter": 0.4, "augment.lighting": 0.1},
    },
    "CIFAR100_PREACT_RESNET18": {
        **{"epochs": 300, "batch_size": 100, "lr": 0.2, "weight_decay": 1e-4, "nesterov": True},
        **{"schedule": "multistep", "milestones": (1 / 3, 2 / 3)},
    },
}


@pytest.mark.parametrize("name", sorted(PRINTED.keys() | FURTHER.keys()))
def test_a_recipe_has_the_printed_values(name: str) -> None:
    config = flatten(parse({"mixer": "cutmix", **RECIPES[name]}))
    printed = {**PRINTED.get(name, {}), **FURTHER.get(name, {})}
    assert {key: config[key] for key in printed} == printed


@pytest.mark.parametrize(
    ("dataset", "backbone", "wanted"),
    [
        ("cifar100", "wrn28_8", {"epochs": 400, "lr": 0.03, "weight_decay": 1e-3}),
        ("cifar100", "resnet34", {"epochs": 800, "lr": 0.1, "backbone": "resnet34"}),  # as every other ResNet
        ("cifar100", "deit_small", {"epochs": 200, "lr": 1e-3, "optimiser": "adamw", "image_size": 224}),
        ("cifar10", "resnext50", {"epochs": 800, "lr": 0.1, "dataset": "cifar10"}),
        ("imagenet", "resnet101_imagenet", {"epochs": 100, "batch_size": 256}),
        ("imagenet", "convnext_tiny", {"epochs": 300, "batch_size": 1024, "optimiser": "adamw"}),
        ("inat2018", "resnext101_imagenet", {"epochs": 100, "dataset": "inat2018"}),
        ("aircraft", "resnext50_imagenet", {"epochs": 200, "pretrained": "IMAGENET1K_V1"}),
    ],
)
def test_each_data_set_and_network_has_its_recipe(dataset: str, backbone: str, wanted: dict[str, Any]) -> None:
    found = recipe_of({"dataset": dataset, "backbone": backbone})
    assert {key: found[key] for key in wanted} == wanted
    assert found["backbone"] == backbone
    assert not any(key.startswith("mixer") for key in found)
    parse(found)


def test_a_data_set_without_recipes_has_none() -> None:
    assert recipe_of({"dataset": "fashion_mnist", "backbone": "resnet8"}) == {}


# OpenMixup's AutoMix: lambda channel, gamma's decay, where the rate ends, the block's rate, its end and its momentum, m
# at the end and from where it rises, layer, and whether no row is mixed with itself.
SETTINGS = {
    ("cifar100", "resnet18"): (False, "none", 0.05, None, None, None, 0.999999, 0.1, 3, False),
    ("cifar100", "wrn28_8"): (False, "none", 0.001, None, None, 0.0, 0.999999, 0.1, 2, False),
    ("tiny_imagenet", "resnet18"): (False, "none", 0.05, 0.1, 0.001, None, 0.999999, 0.1, 3, False),
    ("imagenet", "resnet18_imagenet"): (True, "cosine", 0.0, 0.1, 0.001, None, 0.99999, 0.1, 3, False),
    ("cub200", "resnet18_imagenet"): (True, "cosine", 0.0, 0.01, 0.0005, None, 0.99999, 0.1, 3, True),
    ("aircraft", "resnext50_imagenet"): (True, "cosine", 0.0, 0.01, 0.0005, None, 0.99999, 0.1, 3, True),
    ("cifar100", "deit_small"): (True, "cosine", 0.0001, 0.001, 0.0001, None, 0.99996, 0.25, 6, False),
    ("cifar100", "swin_tiny"): (True, "cosine", 0.0001, 0.001, 0.0001, None, 0.99996, 0.25, 3, False),
}


# OpenMixup's benchmarks: alpha of mixup, CutMix, Manifold Mixup, SaliencyMix, FMix, PuzzleMix and ResizeMix.
ALPHAS = {
    ("cifar100", "resnet18"): (1, 0.2, 2, 0.2, 0.2, 1, 1),
    ("cifar100", "deit_small"): (0.8, 2, 2, 0.2, 1, 2, 1),
    ("tiny_imagenet", "resnext50"): (1, 1, 0.2, 1, 1, 1, 1),
    ("imagenet", "resnet18_imagenet"): (0.2, 0.2, 0.2, 0.2, 0.2, 1, 0.2),
    ("imagenet", "resnet50_imagenet"): (0.2, 1, 0.2, 1, 1, 1, 1),
    ("imagenet", "deit_small"): (0.2, 0.2, 0.2, 0.2, 0.2, 1, 1),
    ("inat2018", "resnext101_imagenet"): (0.2, 1, 0.2, 1, 1, 1, 1),
    ("places205", "resnet18_imagenet"): (0.2, 0.2, 0.2, 0.2, 0.2, 1, 1),
    ("aircraft", "resnext50_imagenet"): (0.2, 1, 0.5, 0.2, 0.2, 1, 1),
}


@pytest.mark.parametrize(("cell", "alphas"), ALPHAS.items())
def test_alpha_is_that_of_the_benchmarks(cell: tuple[str, str], alphas: tuple[float, ...]) -> None:
    mixers = ("mixup", "cutmix", "manifoldmix", "saliencymix", "fmix", "puzzlemix", "resizemix")
    settings = [cell_settings({"dataset": cell[0], "backbone": cell[1], "mixer": mixer}) for mixer in mixers]
    assert tuple(found["mixer.alpha"] for found in settings) == alphas


@pytest.mark.parametrize(
    ("dataset", "backbone", "large"),
    [
        *[("cifar100", backbone, False) for backbone in ("resnet18", "convnext_tiny_cifar")],
        *[("cifar100", backbone, True) for backbone in ("deit_small", "swin_tiny")],
        *[(dataset, "resnet50_imagenet", True) for dataset in ("imagenet", "inat2017", "places205", "cub200")],
        ("tiny_imagenet", "resnet18", True),
    ],
)
def test_puzzlemix_of_large_images_moves_the_cells_of_its_grid(dataset: str, backbone: str, large: bool) -> None:
    cell = {"dataset": dataset, "backbone": backbone, "mixer": "puzzlemix"}
    found = flatten(parse({"mixer": "puzzlemix", **cell_settings(cell)}))
    assert found["mixer.blocks"] == ((2, 4, 8) if large else (2, 4, 8, 16))
    assert found["mixer.t_size"] == (224 if large else 4)


def test_the_data_sets_of_small_images() -> None:
    sides = {name: dataset.image_shape[1] for name, dataset in DATASETS.items()}
    assert set(SMALL) == {name for name, side in sides.items() if side <= 32}


def test_resizemix_of_transformers_interpolates_and_comixup_also_learns_from_the_images_before_mixing() -> None:
    cell = {"dataset": "cifar100", "mixer": "resizemix"}
    assert sumix_settings({**cell, "backbone": "swin_tiny"})["mixer.interpolation"] == "bilinear"
    assert "mixer.interpolation" not in sumix_settings({**cell, "backbone": "resnext50"})
    assert sumix_settings({"mixer": "comixup"}) == {"mixer.alpha": 2.0, "clean_loss": 2.0}


# The rates of OpenMixup's AutoMix on CIFAR-100: ConvNeXt keeps that of its other mixers.
@pytest.mark.parametrize(("backbone", "lr"), [("deit_small", 5e-4), ("swin_tiny", 5e-4), ("convnext_tiny_cifar", 1e-3)])
def test_the_rate_of_automix_for_transformers(backbone: str, lr: float) -> None:
    for mixer in LEARNED:
        settings = cell_settings({"dataset": "cifar100", "backbone": backbone, "mixer": mixer})
        assert (settings["lr"], settings["min_lr"]) == (lr, 1e-4)


@pytest.mark.parametrize(("cell", "wanted"), SETTINGS.items())
def test_the_settings_of_automix(cell: tuple[str, str], wanted: tuple[Any, ...]) -> None:
    about = {"dataset": cell[0], "backbone": cell[1], "mixer": "automix"}
    recipe = {**about, **recipe_of(about)}
    found = flatten(parse({**recipe, **automix_settings(recipe)}))
    keys = (
        *("mixer.lam_channel", "mixer.mask_decay", "min_lr", "mixer.block_lr", "mixer.block_min_lr"),
        *("mixer.block_momentum", "mixer.last_momentum", "mixer.momentum_from", "mixer.layer", "mixer.derangement"),
    )
    assert tuple(found[key] for key in keys) == wanted
    assert automix_settings({**recipe, "mixer": "cutmix"}) == {}
    paper = {**recipe, "automix.preset": "paper"}
    ours = flatten(parse({**paper, **automix_settings(paper)}))
    assert (ours["mixer.lam_channel"], ours["mixer.mask_decay"], ours["mixer.last_momentum"]) == (True, "linear", 1.0)
    short = flatten(parse({**recipe, **automix_settings({**recipe, "epochs": 3})}))
    assert short["mixer.first_momentum"] == short["mixer.last_momentum"] == 0.98


@pytest.mark.parametrize(("pipeline", "slow"), [("none", False), ("mp_m0", False), ("mp", True), ("mp_ce", True)])
def test_the_slow_copy_of_every_mixer_leaves_its_start_in_few_epochs(pipeline: str, slow: bool) -> None:
    cell = {"dataset": "cifar10", "backbone": "resnet8", "mixer": "mixup", "mixer.pipeline": pipeline}
    wanted = {"mixer.first_momentum": 0.98, "mixer.last_momentum": 0.98} if slow else {}
    assert automix_settings({**cell, "epochs": 3}) == wanted
    assert automix_settings({**cell, "epochs": 800}) == automix_settings(cell) == {}
