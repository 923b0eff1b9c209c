"""The settings of AutoMix and of the other mixers whose masks are learned are those of OpenMixup."""

import pytest

from trainables.config import flatten, mixer_options, parse
from trainables.recipes import automix_settings, cell_settings, recipe_of
from trainables.recipes.learned_masks import LEARNED, RELEASED


@pytest.mark.parametrize("backbone", ["wrn28_8", "deit_small"])
@pytest.mark.parametrize("mixer", LEARNED)
def test_a_learned_mixer_gets_all_of_automix_settings_that_it_has(mixer, backbone):
    options = {f"mixer.{name}" for name in mixer_options(mixer, {})}
    for dataset in RELEASED:
        cell = {"dataset": dataset, "backbone": backbone}
        every = automix_settings({**cell, "mixer": "automix"})
        expected = {key: value for key, value in every.items() if "." not in key or key in options}
        if (mixer, backbone) == ("adautomix", "deit_small"):
            expected["mixer.lam_margin"] = 0.0  # its masks are learned at every lambda
        assert automix_settings({**cell, "mixer": mixer}) == expected


# OpenMixup's AutoMix: lambda channel, gamma's decay, where the rate ends, the block's rate, its end and its momentum, m
# at the end and from where it rises, layer, and whether no row is mixed with itself; its masks end at a margin of 0.08.
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


# The rates of OpenMixup's AutoMix on CIFAR-100: ConvNeXt keeps that of its other mixers.
@pytest.mark.parametrize(("backbone", "lr"), [("deit_small", 5e-4), ("swin_tiny", 5e-4), ("convnext_tiny_cifar", 1e-3)])
def test_the_rate_of_automix_for_transformers(backbone, lr):
    for mixer in LEARNED:
        settings = cell_settings({"dataset": "cifar100", "backbone": backbone, "mixer": mixer})
        assert (settings["lr"], settings["min_lr"]) == (lr, 1e-4)


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
