"""Opens the data of a configuration: the sources of training, validation and test batches."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from trainables.augment.pipeline import augmentation
from trainables.augment.resized_crop import resize
from trainables.datasets import DATASETS, EVALUATION_SETS
from trainables.datasets.data_config import DataConfig, check_counts, held_out_count
from trainables.datasets.dataset import BatchSource, DataError, Dataset, Images, Split, Splits
from trainables.datasets.decoding import View
from trainables.datasets.file_list import FileList
from trainables.datasets.resident import Resident, fingerprint, load_cached
from trainables.datasets.streamed import Streamed
from trainables.datasets.subsampling import chosen, hold_out
from trainables.refusals import counted

TRIED = 16  # images of a split that are decoded before training; its order is random


class Opened(NamedTuple):
    """The sources that a run reads."""

    train: BatchSource
    validation: BatchSource | None  # held-out training images
    test: BatchSource | None  # None where the run may not see it
    fingerprint: str  # 16 hex digits, of all that the run reads


def dataset_of(config: DataConfig) -> Dataset:
    """Return the data set of ``config`` as its network sees it: with its classes, its size and its normalisation."""
    dataset = DATASETS[config.dataset]
    channels, height, width = dataset.image_shape
    if config.image_size is not None:
        height = width = config.image_size
    num_classes = dataset.num_classes if config.num_classes is None else config.num_classes
    usual = dataset.mean, dataset.std
    mean, std = dataset.own or usual if config.normalisation == "own" else usual
    return replace(dataset, num_classes=num_classes, image_shape=(channels, height, width), mean=mean, std=std)


def folder_of(config: DataConfig, data_root: Path) -> Path:
    """Return the argument of the data set's ``prepare`` and ``load``: the data root, or the image folder in it."""
    return data_root if config.folder is None else data_root / config.folder


def images_of(config: DataConfig, data_root: Path) -> Splits:
    """Return all images of ``config``'s data set; raise as ``load_cached`` does, and for a wrong ``num_classes``."""
    folder = folder_of(config, data_root)
    splits = load_cached(config.dataset, Path(os.path.realpath(folder)))
    found = int(splits.train.labels.max()) + 1
    if config.num_classes not in (None, found):
        raise DataError(f"{folder} has {counted(found, 'class')}, but num_classes is {config.num_classes}")
    return splits


def prepare(config: DataConfig, data_root: Path) -> None:
    """Verify the data set under ``data_root``, and fetch missing files; it must have the images of ``config``.

    A few images that stay on disk are decoded, so that a copy of which no file can be read is refused before training.
    ``ValueError`` refuses scores of a subset that are not those of the training images, and a subset that is too small
    for the validation split.
    """
    dataset = DATASETS[config.dataset]
    if not dataset.streamed:
        dataset.prepare(folder_of(config, data_root))
    if dataset.streamed or config.subset.rule != "none":  # a streamed one is prepared if its images cannot be listed
        for images in selected(config, images_of(config, data_root)):
            if isinstance(images, FileList) and config.bad_images == "refuse":
                list(_source(images.take(slice(TRIED)), config, "cpu", workers=0).test_batches(TRIED))


def lacking(config: DataConfig, data_root: Path) -> list[str]:
    """Return a sentence if the folder of the data set is missing; ``prepare`` finds out whether it is complete."""
    dataset = DATASETS[config.dataset]
    folder = folder_of(config, data_root) / dataset.folder
    if os.path.isdir(folder) or not (dataset.folder or dataset.in_folder):  # one that is computed has no folder
        return []
    return [f"{folder} is missing and {'will be fetched' if dataset.fetched else 'has to be put there'}"]


def open_dataset(
    config: DataConfig, data_root: Path, device: torch.device | str, *, workers: int | None = None
) -> Opened:
    """Return the sources of ``config``, with batches on the device; ``Streamed`` says how many ``workers`` decode."""
    return open_splits(config, images_of(config, data_root), device, workers=workers)


def open_splits(
    config: DataConfig, splits: Splits, device: torch.device | str, *, workers: int | None = None
) -> Opened:
    """Return the same as ``open_dataset``, from splits that have been read."""
    train, validation, test = selected(config, splits)
    source = partial(_source, config=config, device=device, workers=workers)
    return Opened(
        train=source(train),
        validation=None if validation is None else source(validation),
        test=None if test is None else source(test),
        fingerprint=fingerprint(images for images in (train, validation, test) if images is not None),
    )


def selected(config: DataConfig, splits: Splits) -> tuple[Images, Images | None, Images | None]:
    """Return the images to train, to validate and to test on; ``ValueError`` for a choice that they do not allow."""
    for images in splits:
        _check_images(images, dataset_of(config))
    if config.evaluate == "test" and not len(splits.test.labels):
        held_out = "set validation and evaluate 'validation', which tests on training images"
        raise DataError(f"{config.folder} has no test, val or validation images: add them, or {held_out}")
    check_counts(config, *(len(images.labels) for images in splits))
    # The first images are the same for every seed and every arm of a study.
    train, test = splits.train.take(slice(config.train_images)), splits.test.take(slice(config.test_images))
    if config.subset.rule != "none":
        train = train.take(chosen(config.subset, train.labels))
    validation = None
    if config.validation:
        count = held_out_count(config.validation, len(train.labels))
        training, validating = hold_out(train.labels, count)
        train, validation = train.take(training), train.take(validating)
    return train, validation, test if config.evaluate == "test" else None


def open_evaluation(
    name: str, part: str, config: DataConfig, data_root: Path, device: torch.device | str, *, share: float = 1.0
) -> BatchSource:
    """Return one part of ``EVALUATION_SETS[name]``, shown as a run with ``config`` tests; read it by ``test_batches``.

    ``share``, in (0, 1], is that of the images which are shown, evenly spaced. ``ValueError`` refuses a configuration
    of another data set than the set is for.
    """
    evaluation = EVALUATION_SETS[name]
    if config.dataset != evaluation.trained_on:
        raise ValueError(f"{name} is for classifiers of {evaluation.trained_on}, got one of {config.dataset}")
    images = evaluation.load(data_root, part)
    if share < 1:
        total = len(images.labels)
        images = images.take(torch.linspace(0, total - 1, max(1, round(share * total))).long())
    return _source(images, config, device, workers=None)


def _check_images(images: Images, dataset: Dataset) -> None:
    if isinstance(images, Split):
        forms = [(str(each.dtype), *each.shape) for each in images]
        (kind, *sides), channels = forms[0], dataset.image_shape[0]
        if kind != "torch.uint8" or len(sides) != 4 or sides[1] != channels or forms[1] != ("torch.int64", sides[0]):
            valid = f"images (N, {channels}, H, W) uint8 and labels (N,) int64"
            raise DataError(f"{dataset.name} must have {valid}, got {forms[0]} and {forms[1]}")
    wrong = images.labels[(images.labels < 0) | (images.labels >= dataset.num_classes)]
    if len(wrong):
        where = images.root if isinstance(images, FileList) else dataset.name
        raise DataError(f"{where} has the label {int(wrong[0])}, but labels lie in 0..{dataset.num_classes - 1}")


def _source(images: Images, config: DataConfig, device: torch.device | str, workers: int | None) -> BatchSource:
    dataset = dataset_of(config)
    size = dataset.image_shape[1:]
    if isinstance(images, FileList):
        test_view = View(
            size=config.tested_side,
            resize=config.resize or round(config.tested_side / dataset.crop_ratio),
            interpolation=config.interpolation,
        )
        options = config.augment_options
        train_view = View(
            size=size[0],
            resize=options.resize if config.augment == "rrc_flip" else round(size[0] / dataset.crop_ratio),
            scale=options.scale if config.augment == "rrc_flip" else None,
            interpolation=config.interpolation,
            mirror=config.augment in ("rrc_flip", "flip"),
        )
        return Streamed(
            images,
            device,
            train_view=train_view,
            test_view=test_view,
            augment=augmentation(config, dataset, streamed=True, own_size=True),
            skip_bad=config.bad_images == "skip",
            workers=workers,
        )
    own_size = tuple(images.images.shape[2:]) == size
    return Resident(
        images,
        device,
        augment=augmentation(config, dataset, streamed=False, own_size=own_size),
        test_view=None if own_size else partial(resize, size=size, interpolation=config.interpolation),
    )
