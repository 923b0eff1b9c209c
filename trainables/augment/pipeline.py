"""The functions that the keys ``augment`` and ``augment.*`` stand for; they take a batch of bytes on the device."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Generator, Tensor

from trainables.augment.colour import jitter, lighting, turn_hue
from trainables.augment.crop_and_flip import crop_and_flip, flip
from trainables.augment.randaugment import rand_augment
from trainables.augment.random_erasing import random_erasing
from trainables.augment.resized_crop import random_resized_crop, resize
from trainables.datasets.data_config import DataConfig
from trainables.datasets.dataset import Dataset
from trainables.datasets.resident import Augment


def resident_augment(config: DataConfig, dataset: Dataset, own_size: bool) -> Augment | None:
    """Return the augmentation of images that live on the device, which the network may see in their ``own_size``."""
    _, height, width = dataset.image_shape
    steps: list[Augment] = []
    if config.augment == "rrc_flip":
        scale = config.augment_options.scale
        steps.append(partial(random_resized_crop, size=height, scale=scale, interpolation=config.interpolation))
    elif not own_size:
        steps.append(lambda images, _: resize(images, (height, width), config.interpolation))
    if config.augment in ("rrc_flip", "flip"):
        steps.append(flip)
    return _around(steps, config, dataset)


def streamed_augment(config: DataConfig, dataset: Dataset) -> Augment | None:
    """Return the augmentation of images that worker processes have cut and, except for ``crop_flip``, mirrored."""
    return _around([], config, dataset)


def _around(sizing: Sequence[Augment], config: DataConfig, dataset: Dataset) -> Augment | None:
    """Return the whole augmentation: the crop of small images, ``sizing``, and what changes colours and pixels."""
    options = config.augment_options
    steps = [*sizing]
    if config.augment == "crop_flip":
        steps.insert(0, partial(crop_and_flip, mode=options.padding))
    if options.randaugment != "none":
        steps.append(partial(rand_augment, options=options, mean=dataset.mean))
    if options.jitter:
        steps.append(lambda images, rng: jitter(images.float(), rng, options.jitter).to(torch.uint8))
    if options.hue:
        steps.append(partial(turn_hue, strength=options.hue))
    if options.lighting:
        steps.append(partial(lighting, strength=options.lighting))
    if options.erasing:
        steps.append(partial(random_erasing, probability=options.erasing, mean=dataset.mean, std=dataset.std))
    if not steps:
        return None

    def augment(images: Tensor, rng: Generator) -> Tensor:
        for step in steps:
            images = step(images, rng)
        return images

    return augment
