"""The functions that the keys ``augment`` and ``augment.*`` stand for; they take a batch of bytes on the device."""

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


def augmentation(config: DataConfig, dataset: Dataset, *, streamed: bool, own_size: bool) -> Augment:
    """Return the augmentation of training images; with ``own_size`` they already have the size that the network sees.

    Worker processes have cut ``streamed`` images and, except for ``crop_flip``, mirrored them.
    """
    _, height, width = dataset.image_shape
    options = config.augment_options
    steps: list[Augment] = []
    if config.augment == "crop_flip":
        steps.append(partial(crop_and_flip, mode=options.padding))
    if config.augment == "rrc_flip" and not streamed:
        steps.append(partial(random_resized_crop, size=height, scale=options.scale, interpolation=config.interpolation))
    elif not own_size:
        steps.append(lambda images, _: resize(images, (height, width), config.interpolation))
    if config.augment in ("rrc_flip", "flip") and not streamed:
        steps.append(flip)
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

    def augment(images: Tensor, rng: Generator) -> Tensor:
        for step in steps:
            images = step(images, rng)
        return images

    return augment
