"""The configuration of an architecture search and of the training of the found network, with the paper's defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from trainables.config import flatten, typed
from trainables.darts.genotype import OPERATION_NAMES, PUBLISHED, Genotype, read_genotype
from trainables.darts.retrain_config import AS_SEARCHED, SMALL_SIDE, RetrainConfig, check_retraining, retrained_images
from trainables.datasets import DATASETS
from trainables.datasets.data_config import NO_SUBSET, DataConfig, check_data, check_read, option_set
from trainables.ranges import Count, NotNegative, Positive, ShareBelowOne
from trainables.refusals import require_known

# Keys with a dot: the part before it, and the field of ``SearchConfig`` that holds their values.
SECTIONS = {"augment": "augment_options", "subset": "subset", "retrain": "retrain"}
HALVES = 0.5  # of the images that a search sees, half learn the weights and half the architecture


@dataclass(frozen=True, kw_only=True)
class SearchConfig(DataConfig):
    """Everything that determines the numbers of a run but its seed. ``subset.*`` chooses the images of the search."""

    # None: the architecture is searched. Cells that are known need no search, and ``dataset`` is then not read where
    # ``retrain.dataset`` is another.
    genotype: Literal["pc_darts_cifar10", "pc_darts_imagenet"] | None = None
    genotype_file: str | None = None  # the genotype.json of another run

    operations: tuple[str, ...] = OPERATION_NAMES
    search_epochs: Count = 50
    frozen_epochs: int = 15  # the first, in which only the weights are learned
    search_channels: Count = 16
    search_cells: Count = 8
    partial: Count = 4  # operations see one channel in so many
    search_batch_size: Count = 256
    search_lr: Positive = 0.1
    search_min_lr: NotNegative = 0.0
    architecture_lr: Positive = 6e-4
    architecture_weight_decay: NotNegative = 1e-3

    epochs: Count = 600  # of the network that was found, from scratch, on all images
    retrain: RetrainConfig = AS_SEARCHED  # where that differs from the search, such as in its data set
    channels: Count = 36
    cells: Count = 20
    batch_size: Count = 96
    lr: Positive = 0.025
    drop_path: ShareBelowOne = 0.3  # at the end; it grows from 0
    auxiliary: NotNegative = 0.4  # the weight of the second head's loss
    cutout: int = 16  # the side of the square; 0 for none

    momentum: ShareBelowOne = 0.9  # of both
    weight_decay: NotNegative = 3e-4
    grad_clip: Positive = 5.0

    @property
    def known_genotype(self) -> Genotype | None:
        """Return the cells that need no search; None where they are searched."""
        if self.genotype_file is not None:
            return read_genotype(self.genotype_file)
        return None if self.genotype is None else PUBLISHED[self.genotype]

    @property
    def retrained(self) -> DataConfig:
        """Return the images that the found network is trained and tested on."""
        return retrained_images(self.retrain, self)


DEFAULTS = SearchConfig()


def parse(config: Mapping[str, Any]) -> SearchConfig:
    """Return the typed form of dotted keys; ``ValueError``, one sentence, names a wrong key and the valid values."""
    parsed = typed(config, DEFAULTS, SECTIONS, known=list(flatten(DEFAULTS)))
    _check(parsed)
    return parsed


def _check(config: SearchConfig) -> None:
    require_known("dataset", config.dataset, DATASETS)
    if config.genotype is not None and config.genotype_file is not None:
        raise ValueError(
            f"genotype must be left out where genotype_file names another network, got {config.genotype!r} and "
            f"{config.genotype_file!r}"
        )
    if config.known_genotype is None:
        _check_search(config)
    elif config.subset != NO_SUBSET:
        key = option_set(config.subset)
        given = getattr(config.subset, key)
        raise ValueError(f"subset.{key} is for a search, which a known genotype does not need, got {given!r}")
    for key in "search_cells", "cells":
        if getattr(config, key) < 3:
            raise ValueError(f"{key} must be at least 3, so that two cells halve the map, got {getattr(config, key)}")
    if config.cutout < 0:
        raise ValueError(f"cutout must not be negative, got {config.cutout}")
    if config.channels % 2:
        raise ValueError(f"channels must be even, got {config.channels}")
    if config.validation or config.evaluate != "test":
        raise ValueError(
            "validation must be 0 and evaluate 'test', because a search holds out half of its images itself, got "
            f"{config.validation:g} and {config.evaluate!r}"
        )
    check_retraining(
        config.retrain, config, epochs=config.epochs, batch_size=config.batch_size, auxiliary=config.auxiliary
    )


def _check_search(config: SearchConfig) -> None:
    check_data(config)
    if config.train_images == 1:
        raise ValueError("train_images must be at least 2, one for each half of the search, got 1")
    check_read(replace(config, bad_images="refuse"))  # the retraining on other images reads it as well
    for name in config.operations:
        require_known("operation", name, OPERATION_NAMES)
    if not set(config.operations) - {"none"} or len(set(config.operations)) < len(config.operations):
        raise ValueError(
            f"operations must differ from each other, and hold one besides 'none', got {config.operations}"
        )
    if not 0 <= config.frozen_epochs < config.search_epochs:
        raise ValueError(
            f"frozen_epochs must lie in 0..{config.search_epochs - 1}, below search_epochs, got {config.frozen_epochs}"
        )
    if config.search_channels % config.partial:
        raise ValueError(
            f"search_channels must be a multiple of partial, {config.partial}, got {config.search_channels}"
        )
    channels, side, _ = DATASETS[config.dataset].image_shape
    side = config.image_size or side
    if channels != 3 or side != SMALL_SIDE:
        raise ValueError(
            f"a search is for images of {SMALL_SIDE} pixels in three channels, got dataset {config.dataset!r} at "
            f"{side} pixels"
        )


# Options that have been added since the first version, each with the value that leaves every number as it was.
NEUTRAL: dict[str, Any] = {
    key: value
    for key, value in flatten(DEFAULTS).items()
    if key in ("genotype", "genotype_file", "augment.hue") or key.startswith("retrain.")
}
