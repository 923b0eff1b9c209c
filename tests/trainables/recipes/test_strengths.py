"""The strengths of mixers and of SUMix, and the settings of learned masks, are those of the papers and of OpenMixup."""

import pytest

from trainables.config import flatten, mixer_options, parse
from trainables.datasets import DATASETS
from trainables.recipes import ZETA, automix_settings, cell_settings, recipe_of, sumix_settings
from trainables.recipes.learned_masks import LEARNED, RELEASED
from trainables.recipes.strengths import SMALL

# SUMix, tables 7 to 9: zeta of CutMix, FMix, SaliencyMix and ResizeMix.
MIXERS = ("cutmix", "fmix", "saliencymix", "resizemix")
ZETAS = {
    ("cifar100", "resnet18"): (0.5, 1.0, 0.5, 0.2),
    ("cifar100", "resnext50"): (0.5, 1.0, 1.0, 0.5),
    **{("cifar100", backbone): (0.5, 0.5, 0.5, 0.5) for backbone in ("wrn28_8", "deit_small", "swin_tiny")},
    ("cub200", "resnet18_imagenet"): (1.0, 0.5, 0.5, 0.5),
    ("cub200", "resnext50_imagenet"): (0.5, 0.1, 0.2, 0.5),
    ("aircraft", "resnet18_imagenet"): (1.0, 0.5, 1.0, 0.5),
    ("aircraft", "resnext50_imagenet"): (0.5, 0.5, 0.5, 0.5),
}


def test_zeta_is_that_of_the_paper():
    assert {cell: dict(zip(MIXERS, zetas, strict=True)) for cell, zetas in ZETAS.items()} == ZETA
    for (dataset, backbone), zetas in ZETAS.items():
        settings = [sumix_settings({"dataset": dataset, "backbone": backbone, "mixer": mixer}) for mixer in MIXERS]
        assert tuple(found["sumix.zeta"] for found in settings) == zetas


def test_zeta_of_whole_data_sets_and_of_none():
    for mixer in MIXERS:
        assert sumix_settings({"dataset": "tiny_imagenet", "backbone": "resnext50", "mixer": mixer})["sumix.zeta"] == 1
        assert sumix_settings({"dataset": "imagenet", "backbone": "resnet18_imagenet", "mixer": mixer}) == {
            "mixer.alpha": 1.0 if mixer == "resizemix" else 0.2,
            "sumix.zeta": 0.5,
        }
    assert "sumix.zeta" not in sumix_settings({"dataset": "cifar10", "backbone": "resnet8", "mixer": "fmix"})
    assert sumix_settings({"dataset": "cifar100", "backbone": "resnet18", "mixer": "none"}) == {}


# OpenMixup's benchmarks, and SUMix, section 5.2, for CIFAR-100: alpha of mixup, CutMix, Manifold Mixup, SaliencyMix,
# FMix, PuzzleMix and ResizeMix.
ALPHAS = {
    ("cifar100", "resnet18"): (1, 0.2, 2, 0.2, 0.2, 1, 1),
    ("cifar100", "wrn28_8"): (1, 0.2, 2, 0.2, 0.2, 1, 1),
    ("cifar100", "deit_small"): (0.8, 2, 2, 0.2, 1, 2, 1),
    ("cifar100", "swin_tiny"): (0.8, 2, 2, 0.2, 1, 2, 1),
    ("tiny_imagenet", "resnext50"): (1, 1, 0.2, 1, 1, 1, 1),
    ("imagenet", "resnet18_imagenet"): (0.2, 0.2, 0.2, 0.2, 0.2, 1, 0.2),
    ("imagenet", "resnet50_imagenet"): (0.2, 1, 0.2, 1, 1, 1, 1),
    ("imagenet", "deit_small"): (0.2, 0.2, 0.2, 0.2, 0.2, 1, 1),
    ("inat2017", "resnet18_imagenet"): (0.2, 1, 0.2, 1, 1, 1, 1),
    ("inat2018", "resnext101_imagenet"): (0.2, 1, 0.2, 1, 1, 1, 1),
    ("places205", "resnet18_imagenet"): (0.2, 0.2, 0.2, 0.2, 0.2, 1, 1),
    ("cub200", "resnet18_imagenet"): (0.2, 1, 0.5, 0.2, 0.2, 1, 1),
    ("aircraft", "resnext50_imagenet"): (0.2, 1, 0.5, 0.2, 0.2, 1, 1),
}


@pytest.mark.parametrize(("cell", "alphas"), ALPHAS.items())
def test_alpha_is_that_of_the_benchmarks(cell, alphas):
    mixers = ("mixup", "cutmix", "manifoldmix", "saliencymix", "fmix", "puzzlemix", "resizemix")
    settings = [cell_settings({"dataset": cell[0], "backbone": cell[1], "mixer": mixer}) for mixer in mixers]
    assert tuple(found["mixer.alpha"] for found in settings) == alphas


@pytest.mark.parametrize(
    ("dataset", "backbone", "mixer", "decay"),
    [
        *[(dataset, "resnext50", "cutmix", 5e-4) for dataset in ("cifar10", "cifar100")],
        *[("cifar100", "resnext50", mixer, 5e-4) for mixer in ("saliencymix", "fmix", "resizemix")],
        *[("cifar100", "resnext50", mixer, 1e-4) for mixer in ("none", "mixup", "puzzlemix", "manifoldmix")],
        *[(dataset, "resnet18", "cutmix", 1e-4) for dataset in ("cifar100", "tiny_imagenet")],
        ("tiny_imagenet", "resnext50", "cutmix", 1e-4),
        ("aircraft", "resnext50_imagenet", "cutmix", 5e-4),
    ],
)
def test_resnext50_decays_more_on_cifar_under_mixers_that_cut_as_openmixup_notes(dataset, backbone, mixer, decay):
    assert cell_settings({"dataset": dataset, "backbone": backbone, "mixer": mixer})["weight_decay"] == decay


# OpenMixup's tables for CIFAR-100, of convolutional networks and of transformers.
FURTHER = {
    **{"gridmix": (0.2, 1.0), "smoothmix": (0.2, 0.2), "attentivemix": (2.0, 2.0), "alignmix": (2.0, 2.0)},
    **{"automix": (2.0, 2.0), "samix": (2.0, 2.0), "adautomix": (1.0, 1.0)},
}
# Those of the mixers' own papers and codes, for any network.
OWN = {
    **{"comixup": 2.0, "supermix": 3.0, "augmix": 1.0, "mixup_cutmix": 1.0, "mergemix": 1.0},
    **{"dmixup": 1 / 3, "dcutmix": 0.2, "saliency_dcutmix": 1 / 3},
}


@pytest.mark.parametrize(
    ("mixer", "alphas"), [*FURTHER.items(), *((mixer, (alpha, alpha)) for mixer, alpha in OWN.items())]
)
def test_alpha_of_the_other_mixers(mixer, alphas):
    cells = [{"dataset": "cifar100", "backbone": backbone, "mixer": mixer} for backbone in ("resnet18", "deit_small")]
    assert tuple(sumix_settings(cell)["mixer.alpha"] for cell in cells) == alphas


@pytest.mark.parametrize(
    ("dataset", "backbone", "large"),
    [
        *[("cifar100", backbone, False) for backbone in ("resnet18", "convnext_tiny_cifar")],
        *[("cifar100", backbone, True) for backbone in ("deit_small", "swin_tiny")],
        *[(dataset, "resnet50_imagenet", True) for dataset in ("imagenet", "inat2017", "places205", "cub200")],
        ("tiny_imagenet", "resnet18", True),
    ],
)
def test_puzzlemix_of_large_images_moves_the_cells_of_its_grid(dataset, backbone, large):
    cell = {"dataset": dataset, "backbone": backbone, "mixer": "puzzlemix"}
    found = flatten(parse({"mixer": "puzzlemix", **cell_settings(cell)}))
    assert found["mixer.blocks"] == ((2, 4, 8) if large else (2, 4, 8, 16))
    assert found["mixer.t_size"] == (224 if large else 4)


def test_the_data_sets_of_small_images():
    sides = {name: dataset.image_shape[1] for name, dataset in DATASETS.items()}
    assert set(SMALL) == {name for name, side in sides.items() if side <= 32}


def test_resizemix_of_transformers_on_cifar_interpolates_and_comixup_also_learns_from_the_images_before_mixing():
    cell = {"dataset": "cifar100", "mixer": "resizemix"}
    assert sumix_settings({**cell, "backbone": "swin_tiny"})["mixer.interpolation"] == "bilinear"
    assert "mixer.interpolation" not in sumix_settings({**cell, "backbone": "resnext50"})
    assert "mixer.interpolation" not in sumix_settings({**cell, "dataset": "imagenet", "backbone": "swin_tiny"})
    assert sumix_settings({"mixer": "comixup"}) == {"mixer.alpha": 2.0, "clean_loss": 2.0}


# Where OpenMixup's configurations of SAMix, and AdAutoMix's own, differ from OpenMixup's of AutoMix.
BLOCK = ("mixer.block_lr", "mixer.block_min_lr")
FINE_TUNED = dict(zip(BLOCK, (0.1, 0.001), strict=True))
OTHERWISE = {
    ("samix", "cifar100", "deit_small"): {"lr": 7.5e-4, "grad_clip": 20.0, "warmup_epochs": 20, BLOCK[0]: 7.5e-4},
    ("samix", "cifar100", "swin_tiny"): {"grad_clip": 20.0, BLOCK[0]: 5e-4},
    ("samix", "cifar100", "convnext_tiny_cifar"): {"grad_clip": 20.0, BLOCK[0]: 7.5e-4},
    ("samix", "places205"): {BLOCK[1]: 1e-4},
    ("samix", "aircraft"): {"mixer.last_momentum": 0.99996},
    ("adautomix", "tiny_imagenet", "resnet18"): {"min_lr": 0.0, BLOCK[1]: 0.0},
    ("adautomix", "cub200"): FINE_TUNED,
    ("adautomix", "cub200", "resnext50_imagenet"): {**FINE_TUNED, BLOCK[1]: 5e-4},
    ("adautomix", "aircraft"): FINE_TUNED,
    ("adautomix", "aircraft", "resnet18_imagenet"): {**FINE_TUNED, "min_lr": 5e-4},
}
# Options that AutoMix lacks: SAMix's lam_k; AdAutoMix's lam_margin and adversarial_share.
FURTHER_OPTIONS = {"samix": ("mixer.lam_k",), "adautomix": ("mixer.lam_margin", "mixer.adversarial_share")}
NETWORKS = ("wrn28_8", "deit_small", "swin_tiny", "convnext_tiny_cifar", "resnet18", "resnet18_imagenet")


@pytest.mark.parametrize("backbone", [*NETWORKS, "resnext50_imagenet"])
@pytest.mark.parametrize("mixer", LEARNED)
def test_a_learned_mixer_gets_all_of_automix_settings_that_it_has(mixer, backbone):
    options = {f"mixer.{name}" for name in mixer_options(mixer, {})}
    for dataset in RELEASED:
        cell = {"dataset": dataset, "backbone": backbone}
        every = automix_settings({**cell, "mixer": "automix"})
        expected = {key: value for key, value in every.items() if "." not in key or key in options}
        expected |= OTHERWISE.get((mixer, dataset, backbone), OTHERWISE.get((mixer, dataset), {}))
        found = automix_settings({**cell, "mixer": mixer})
        assert {key: value for key, value in found.items() if key not in FURTHER_OPTIONS.get(mixer, ())} == expected


@pytest.mark.parametrize(
    ("mixer", "dataset", "backbone", "wanted"),
    [
        *[("samix", "cifar100", backbone, (0.25,)) for backbone in ("resnet18", "resnext50", "wrn28_8")],
        *[("samix", "cifar100", backbone, (None,)) for backbone in ("deit_small", "swin_tiny", "convnext_tiny_cifar")],
        *[("samix", "tiny_imagenet", "resnet18", (None,)), ("samix", "tiny_imagenet", "resnext50", (0.25,))],
        *[("samix", dataset, "resnet50_imagenet", (None,)) for dataset in ("imagenet", "inat2017", "inat2018")],
        *[("samix", "places205", "resnet18_imagenet", (None,)), ("samix", "cub200", "resnext50_imagenet", (1.0,))],
        ("samix", "aircraft", "resnet18_imagenet", (1.0,)),
        *[("adautomix", "cifar100", backbone, (0.03, 0.3)) for backbone in ("resnet18", "resnext50", "deit_small")],
        ("adautomix", "cifar100", "swin_tiny", (0.0, 0.3)),  # its masks are learned at every lambda
        *[("adautomix", "tiny_imagenet", backbone, (0.03, 0.4)) for backbone in ("resnet18", "resnext50")],
        *[("adautomix", "imagenet", backbone, (0.03, 0.1)) for backbone in ("resnet18_imagenet", "resnet50_imagenet")],
        ("adautomix", "cub200", "resnet18_imagenet", (0.03, 0.3)),
        *[("adautomix", "cub200", backbone, (0.03, 0.1)) for backbone in ("resnet50_imagenet", "resnext50_imagenet")],
        ("adautomix", "aircraft", "resnet18_imagenet", (0.0, 0.3)),
        ("adautomix", "aircraft", "resnext50_imagenet", (0.03, 0.6)),
    ],
)
def test_the_options_of_samix_and_adautomix_are_those_of_their_configurations(mixer, dataset, backbone, wanted):
    cell = {"dataset": dataset, "backbone": backbone, "mixer": mixer}
    found = flatten(parse({**cell, **cell_settings(cell)}))
    assert tuple(found[key] for key in FURTHER_OPTIONS[mixer]) == wanted


# OpenMixup's AutoMix: lambda channel, gamma's decay, where the rate ends, the block's rate, its end and its momentum, m
# at the end and from where it rises, layer, and whether no row is mixed with itself; its masks end at a margin of 0.08.
SETTINGS = {
    ("cifar100", "resnet18"): (False, "none", 0.05, None, None, None, 0.999999, 0.1, 3, False),
    ("cifar100", "wrn28_8"): (False, "none", 0.001, None, None, 0.0, 0.999999, 0.1, 2, False),
    ("tiny_imagenet", "resnet18"): (False, "none", 0.05, 0.1, 0.001, None, 0.999999, 0.1, 3, False),
    ("imagenet", "resnet18_imagenet"): (True, "cosine", 0.0, 0.1, 0.001, None, 0.99999, 0.1, 3, False),
    ("inat2017", "resnet18_imagenet"): (True, "cosine", 0.0, 0.1, 0.001, None, 0.99999, 0.1, 3, False),
    ("inat2018", "resnet50_imagenet"): (True, "cosine", 0.0, 0.1, 0.0001, None, 0.99999, 0.1, 3, False),
    ("cub200", "resnet18_imagenet"): (True, "cosine", 0.0, 0.01, 0.0005, None, 0.99999, 0.1, 3, True),
    ("aircraft", "resnext50_imagenet"): (True, "cosine", 0.0, 0.01, 0.0005, None, 0.99999, 0.1, 3, True),
    ("cifar100", "deit_small"): (True, "cosine", 0.0001, 0.001, 0.0001, None, 0.99996, 0.25, 6, False),
    ("cifar100", "swin_tiny"): (True, "cosine", 0.0001, 0.001, 0.0001, None, 0.99996, 0.25, 3, False),
    ("imagenet", "deit_small"): (True, "cosine", 0.00001, 0.001, 0.0001, None, 0.99999, 0.25, 6, False),
    ("imagenet", "swin_tiny"): (True, "cosine", 0.00001, 0.001, 0.0001, None, 0.99999, 0.25, 3, False),
    ("imagenet", "convnext_tiny"): (True, "cosine", 0.00001, 0.001, 0.0001, None, 0.99996, 0.25, 3, False),
    ("cifar10", "vit_tiny_32"): (True, "cosine", 0.0001, 0.001, 0.0001, None, 0.99996, 0.25, 2, False),
}


# OpenMixup's AutoMix on CIFAR-100: rate, warm-up, clipping and drop-path. ConvNeXt's are those of its other mixers.
@pytest.mark.parametrize(
    ("backbone", "wanted"),
    [
        ("deit_small", (5e-4, 5, 10.0, 0.1)),
        ("swin_tiny", (5e-4, 20, 10.0, 0.2)),
        ("convnext_tiny_cifar", (1e-3, 20, None, 0.3)),
    ],
)
def test_the_training_of_automix_for_transformers(backbone, wanted):
    for mixer in ("automix", "adautomix"):
        settings = cell_settings({"dataset": "cifar100", "backbone": backbone, "mixer": mixer})
        assert tuple(settings[key] for key in ("lr", "warmup_epochs", "grad_clip", "drop_path")) == wanted
        assert settings["min_lr"] == 1e-4


@pytest.mark.parametrize(("cell", "wanted"), SETTINGS.items())
def test_the_settings_of_automix(cell, wanted):
    about = {"dataset": cell[0], "backbone": cell[1], "mixer": "automix"}
    recipe = {**about, **recipe_of(about)}
    found = flatten(parse({**recipe, **automix_settings(recipe)}))
    keys = (
        *("mixer.lam_channel", "mixer.mask_decay", "min_lr", "mixer.block_lr", "mixer.block_min_lr"),
        *("mixer.block_momentum", "mixer.last_momentum", "mixer.momentum_from", "mixer.layer", "mixer.derangement"),
    )
    assert tuple(found[key] for key in keys) == wanted
    assert found["mixer.lam_margin"] == 0.08
    assert automix_settings({**recipe, "mixer": "cutmix"}) == {}
    paper = {**recipe, "automix.preset": "paper"}
    ours = flatten(parse({**paper, **automix_settings(paper)}))
    assert (ours["mixer.lam_channel"], ours["mixer.mask_decay"], ours["mixer.last_momentum"]) == (True, "linear", 1.0)
    short = flatten(parse({**recipe, **automix_settings({**recipe, "epochs": 19})}))
    assert short["mixer.first_momentum"] == short["mixer.last_momentum"] == 0.98
    assert automix_settings({**recipe, "epochs": 20}) == automix_settings(recipe)


@pytest.mark.parametrize(("pipeline", "slow"), [("none", False), ("mp_m0", False), ("mp", True), ("mp_ce", True)])
def test_the_slow_copy_of_every_mixer_leaves_its_start_in_few_epochs(pipeline, slow):
    cell = {"dataset": "cifar10", "backbone": "resnet8", "mixer": "mixup", "mixer.pipeline": pipeline}
    wanted = {"mixer.first_momentum": 0.98, "mixer.last_momentum": 0.98} if slow else {}
    assert automix_settings({**cell, "epochs": 3}) == wanted
    assert automix_settings({**cell, "epochs": 800}) == automix_settings(cell) == {}
