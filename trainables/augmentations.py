"""What the keys ``augment`` and ``augment.*`` stand for: functions of a batch of bytes on the device."""

from functools import partial

from torch import Generator, Tensor

from trainables.augment import crop_and_flip, flip
from trainables.datasets.data_config import DataConfig
from trainables.datasets.resident import Augment
from trainables.resized_crop import random_resized_crop, resize


def resident_augment(config: DataConfig, size: tuple[int, int], own_size: bool) -> Augment | None:
    """For images that live on the device.

    Args:
        config: of the run.
        size: (height, width) that the network sees, pixels.
        own_size: whether that is the images' own.
    """
    steps: list[Augment] = []
    if config.augment == "crop_flip":
        steps.append(crop_and_flip)
    if config.augment == "rrc_flip":
        scale = config.augment_options.scale
        steps.append(partial(random_resized_crop, size=size[0], scale=scale, interpolation=config.interpolation))
    elif not own_size:
        steps.append(lambda images, _: resize(images, size, config.interpolation))
    return _one_after_another(steps + ([flip] if config.augment in ("rrc_flip", "flip") else []))


def streamed_augment(config: DataConfig) -> Augment | None:
    """For images that worker processes have cut and, but for ``crop_flip``, mirrored."""
    return _one_after_another([crop_and_flip] if config.augment == "crop_flip" else [])


def _one_after_another(steps: list[Augment]) -> Augment | None:
    if not steps:
        return None

    def augment(images: Tensor, rng: Generator) -> Tensor:
        for step in steps:
            images = step(images, rng)
        return images

    return augment
