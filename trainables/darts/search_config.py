"""The configuration of an architecture search and of the training of the found network, with the paper's defaults.

``retrain.*`` says how the network that was found is trained from scratch where that differs from the search. Its
defaults train it on the data set of the search, with the recipe of PC-DARTS for CIFAR-10. Only the images are prepared
as OpenMixup does: PC-DARTS pads them by zeros (``augment.padding``) and divides by greater deviations, as CutMix does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from trainables.config import flatten, typed
from trainables.darts.genotype import OPERATION_NAMES, PUBLISHED, Genotype, Operation, read_genotype
from trainables.datasets import DATASETS
from trainables.datasets.data_config import NO_SUBSET, AugmentConfig, DataConfig, check_data, check_read
from trainables.ranges import (
    Classes,
    Count,
    Hue,
    Interpolation,
    NotNegative,
    Padding,
    Positive,
    Share,
    ShareBelowOne,
    Whole,
)
from trainables.refusals import counted, require_known

Cells = Annotated[int, Field(ge=3, le=2**31 - 1)]  # two of them halve the map

# Keys with a dot: the part before it, and the field of ``SearchConfig`` that holds their values.
SECTIONS = {"augment": "augment_options", "subset": "subset", "retrain": "retrain"}
HALVES = 0.5  # half of the images of a search teach the weights, the others the architecture
SMALL_SIDE = 32  # pixels; larger images take the stem that halves the map three times
WITH_SECOND_HEAD = (32, 224, 256)  # the sides of images whose map after the second halving is 7x7 or 8x8


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """The options of ``retrain``; a study writes them ``retrain.dataset``, ``retrain.schedule``, ..."""

    # The images, under the names that the search's options have.
    dataset: str | None = None  # None: that of the search, with all its images, prepared alike
    folder: str | None = None
    num_classes: Classes | None = None
    train_images: Count | None = None
    test_images: Count | None = None
    image_size: Count | None = None
    interpolation: Interpolation = "bicubic"
    augment: Literal["crop_flip", "rrc_flip", "flip", "none"] = "crop_flip"
    padding: Padding = "reflect"
    scale: Annotated[float, Field(gt=0, le=1)] = 0.08
    jitter: Share = 0.0
    hue: Hue = 0.0

    weight_decay: NotNegative | None = None  # None: that of the search
    schedule: Literal["cosine", "linear"] = "cosine"  # the learning rate's; it changes after each epoch
    warmup_epochs: Whole = 0
    label_smoothing: Share = 0.0  # for both heads
    accumulate: Count = 1  # parts of a batch, each normalised by itself, for one step of all

    def given(self, kind: type[DataConfig | AugmentConfig]) -> dict[str, Any]:
        """Return the options that the images of ``kind`` have too, by their names."""
        return {name: value for name, value in vars(self).items() if name in kind.__dataclass_fields__}


@dataclass(frozen=True, kw_only=True)
class SearchConfig(DataConfig):
    """Everything that determines the numbers of a run but its seed. ``subset.*`` chooses the images of the search."""

    # None: the architecture is searched. Cells that are known need no search, and ``dataset`` is then not read where
    # ``retrain.dataset`` is another.
    genotype: Literal["pc_darts_cifar10", "pc_darts_imagenet"] | None = None
    genotype_file: str | None = None  # the genotype.json of another run

    operations: tuple[Operation, ...] = OPERATION_NAMES
    search_epochs: Count = 50
    frozen_epochs: int = 15  # the first epochs, in which only the weights are learned
    search_channels: Count = 16
    search_cells: Cells = 8
    partial: Count = 4  # operations see one channel in ``partial``
    search_batch_size: Count = 256
    search_lr: Positive = 0.1
    search_min_lr: NotNegative = 0.0
    architecture_lr: Positive = 6e-4
    architecture_weight_decay: NotNegative = 1e-3

    epochs: Count = 600  # of training the found network from scratch, on all images
    retrain: RetrainConfig = RetrainConfig()  # where that differs from the search, such as in its data set
    channels: Annotated[int, Field(ge=2, multiple_of=2)] = 36
    cells: Cells = 20
    batch_size: Count = 96
    lr: Positive = 0.025
    drop_path: ShareBelowOne = 0.3  # at the end; it grows from 0
    auxiliary: NotNegative = 0.4  # the weight of the second head's loss
    cutout: Whole = 16  # the side of the square; 0 for none

    momentum: ShareBelowOne = 0.9  # for the search and the training after it
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
        """Return the images that the found network is trained and tested on: all of the search's, or other ones."""
        if self.retrain.dataset is None:
            return replace(self, subset=NO_SUBSET)
        options = AugmentConfig(**self.retrain.given(AugmentConfig))
        return DataConfig(bad_images=self.bad_images, augment_options=options, **self.retrain.given(DataConfig))


DEFAULTS = SearchConfig()


def parse(config: Mapping[str, Any]) -> SearchConfig:
    """Return the typed form of dotted keys; ``ValueError``, one sentence, names a wrong key and the valid values."""
    parsed = typed(config, DEFAULTS, SECTIONS, known=flatten(DEFAULTS))
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
        check_data(config)
        check_read(replace(config, bad_images="refuse"))  # the retraining on other images reads it as well
        _check_search(config)
    elif config.subset != NO_SUBSET:
        raise ValueError(f"a known genotype needs no search: subset.* must be left out, got {config.subset.given}")
    if config.validation or config.evaluate != "test":
        raise ValueError(
            "validation must be 0 and evaluate 'test', because a search holds out half of its images itself, got "
            f"{config.validation:g} and {config.evaluate!r}"
        )
    _check_retrained_images(config)
    _check_retraining(config)


def _check_search(config: SearchConfig) -> None:
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
    if not _in_colour(config) or config.side != SMALL_SIDE:
        raise ValueError(
            f"a search is for images of {SMALL_SIDE} pixels in three channels, got dataset {config.dataset!r} at "
            f"{config.side} pixels"
        )


def _check_retrained_images(config: SearchConfig) -> None:
    retrain, images = config.retrain, config.retrained
    if retrain.dataset is None:
        for name, given in {**retrain.given(DataConfig), **retrain.given(AugmentConfig)}.items():
            if given != getattr(DEFAULTS.retrain, name):
                raise ValueError(f"retrain.{name} needs the key retrain.dataset, got {given!r} without it")
    else:
        require_known("retrain.dataset", retrain.dataset, DATASETS)
    try:
        check_data(images)
        check_read(images)
    except ValueError as error:
        where = "" if retrain.dataset is None else "retrain.*: "
        raise ValueError(f"{where}{error}") from None
    if not _in_colour(images) or images.side % SMALL_SIDE:
        raise ValueError(
            f"a network that was found is for images in three channels whose side is a multiple of {SMALL_SIDE} "
            f"pixels, got dataset {images.dataset!r} at {images.side} pixels"
        )


def _check_retraining(config: SearchConfig) -> None:
    retrain, images = config.retrain, config.retrained
    if config.auxiliary and images.side not in WITH_SECOND_HEAD:
        sides = ", ".join(map(str, WITH_SECOND_HEAD))
        raise ValueError(
            f"auxiliary must be 0 unless images have a side of {sides} pixels, got {config.auxiliary} at {images.side}"
        )
    if retrain.warmup_epochs >= config.epochs:
        raise ValueError(
            f"retrain.warmup_epochs must be less than epochs, {config.epochs}, got {retrain.warmup_epochs}"
        )
    if config.batch_size % retrain.accumulate:
        raise ValueError(f"retrain.accumulate must divide batch_size {config.batch_size}, got {retrain.accumulate}")
    if images.num_train is not None:
        check_second_head(config, images.num_train)


def _in_colour(config: DataConfig) -> bool:
    return DATASETS[config.dataset].image_shape[0] == 3


def check_second_head(config: SearchConfig, images: int) -> None:
    """Raise ``ValueError`` if the second head, whose map ends as one pixel, would have to learn from one image."""
    part_size = config.batch_size // config.retrain.accumulate
    if config.auxiliary and config.retrained.side == SMALL_SIDE and (part_size == 1 or images % part_size == 1):
        raise ValueError(
            f"the last batch of {counted(images, 'training image')} has 1 image, and the second head's batch norm "
            f"cannot learn from one: set auxiliary to 0, or another batch_size than {config.batch_size}"
        )


# Options that have been added since the first version, each with the value that leaves every number as it was.
NEUTRAL: dict[str, Any] = {
    key: value
    for key, value in flatten(DEFAULTS).items()
    if key in ("genotype", "genotype_file", "augment.hue", "normalisation") or key.startswith("retrain.")
}
