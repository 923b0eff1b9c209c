"""No option of a mixer, a backbone or a data set can have a value that is wrong by itself."""

import inspect
from typing import Any

import pytest

from tests.trainables.refusal import BASE, FOLDER, OF_TOKENS, check, require_refused
from trainables.backbones import BACKBONES
from trainables.backbones.names import RESIDUAL
from trainables.backbones.pretrained import PRETRAINED
from trainables.config import parse
from trainables.datasets import DATASETS
from trainables.mixers import MIXERS


def wrong(value, kind) -> list[Any]:
    """Return values of the right type that no option can have, by the option's default or, if it is None, its type."""
    if isinstance(value, bool):
        return []
    if isinstance(value, tuple):
        return [type(value)(-1 * (n + 1) for n in value)]
    if isinstance(value, str) or "str" in str(kind) or "Literal" in str(kind):
        return ["elsewhere"]
    return [-1.5, float("nan")] if isinstance(value, float) or "float" in str(kind) else [-1]


@pytest.mark.parametrize("mixer", MIXERS)
def test_every_option_of_every_mixer_is_refused_where_it_is_wrong(mixer):
    kinds = inspect.get_annotations(MIXERS[mixer])
    network = {"backbone": "deit_small", "image_size": 32} if mixer in OF_TOKENS else {}
    for option, value in parse({**BASE, "mixer": mixer}).mixer_options.items():
        for bad in wrong(value, kinds.get(option)):
            require_refused({**BASE, **network, "mixer": mixer, f"mixer.{option}": bad}, option, str(bad))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_option_of_every_backbone_is_refused_where_it_is_wrong(name):
    base, parameters = {**BASE, "backbone": name}, inspect.signature(BACKBONES[name]).parameters
    require_refused({**base, "drop_path": 1.0 if "drop_path" in parameters or name in RESIDUAL else 0.1}, "drop_path")
    weights = "IMAGENET1K_V2" if name in ("resnet18_imagenet", "resnet34_imagenet") else "IMAGENET1K_V1"
    if name not in PRETRAINED or weights.endswith("2"):
        require_refused({**base, "pretrained": weights}, weights)
    if "image_size" in parameters:
        require_refused({**base, "image_size": 50}, "image_size")


WRONG = [
    *(("train_images", 0), ("train_images", 10**8), ("test_images", 10**8), ("validation", -0.5)),
    *(("validation", 10**8), ("image_size", 0), ("image_size", 4), ("test_size", -1), ("resize", 3)),
    *(("image_size", 2**31), ("test_size", 5000), ("resize", 5000), ("augment.resize", 5000)),
    *(("evaluate", "elsewhere"), ("evaluate", "validation"), ("bad_images", "elsewhere"), ("num_classes", 0)),
    *(("interpolation", "elsewhere"), ("augment", "elsewhere"), ("augment.padding", "elsewhere")),
    *(("augment.scale", 0.0), ("augment.resize", 0), ("augment.level", 11.0), ("augment.operations", 0)),
    *(("augment.level_std", -1.0), ("augment.jitter", 2.0), ("augment.lighting", -1.0), ("augment.erasing", 2.0)),
    ("augment.randaugment", "elsewhere"),
]


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_key_of_every_data_set_is_refused_where_it_is_wrong(dataset):
    in_folder = DATASETS[dataset].in_folder
    whole = {"train_images": 100, "test_images": 100} if in_folder else {}
    for key, value in WRONG:
        if not (in_folder and key in whole and value):  # how many images a folder has is not known
            require_refused({**BASE, **(FOLDER if in_folder else {}), "dataset": dataset, **whole, key: value}, key)


@pytest.mark.parametrize(
    ("mixer", "option", "right", "wrong"),
    [
        ("augmix", "severity", 10.0, 11.0),
        ("augmix", "width", 1, 0),
        ("mixup_cutmix", "cutmix_share", 1.0, 1.5),
        ("dmixup", "num_images", 2, 1),
        ("alignmix", "eps", 0.01, 0.0),
        ("resizemix", "scope", (0.0, 1.0), (0.0, 1.1)),
    ],
)
def test_the_last_number_of_a_range_is_right_and_the_next_is_not(mixer, option, right, wrong):
    config = {**BASE, "mixer": mixer}
    check({**config, f"mixer.{option}": right})
    require_refused({**config, f"mixer.{option}": wrong}, option, str(wrong))


COUNTS = [
    *(("supermix", name) for name in ("num_images", "mask_size", "sigma", "max_iter")),
    *((mixer, "num_images") for mixer in ("dmixup", "dcutmix", "saliency_dcutmix")),
    *(("augmix", "width"), ("augmix", "depth"), ("comixup", "iterations"), ("alignmix", "iterations")),
    *(("puzzlemix", "num_labels"), ("cutout", "length"), ("cutmix", "groups")),
]


@pytest.mark.parametrize(("mixer", "option"), COUNTS)
def test_a_count_that_no_step_could_end_with_is_refused(mixer, option):
    """The check itself looped without end, or ended in torch's words for a number of more than 64 bits."""
    for count in (10**6, 10**20):
        config = {**BASE, "mixer": mixer, f"mixer.{option}": count}
        if count == 10**6 and option in ("length", "groups"):  # which a larger image, or a larger batch, may have
            check(config)
        else:
            require_refused(config, option, str(count))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("batch_size", 10**20), ("epochs", 10**20), ("subset.draw", 10**20), ("augment.operations", 10**6)),
        *(("lr", 1e308), ("weight_decay", 1e308), ("mixer.beta", 1e308), ("mixer.alpha", 1e308)),
    ],
)
def test_a_number_that_torch_cannot_compute_with_is_refused(key, value):
    require_refused({**BASE, "mixer": "comixup", key: value}, key, str(value))
