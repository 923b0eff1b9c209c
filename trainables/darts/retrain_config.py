"""How the network that was found is trained from scratch where that differs from the search: ``retrain.*``.

The defaults train it on the data set of the search, with the recipe of PC-DARTS for CIFAR-10.
"""

from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from pydantic import Field

from trainables.datasets import DATASETS
from trainables.datasets.data_config import NO_SUBSET, AugmentConfig, DataConfig, check_data, check_read
from trainables.ranges import Count, Hue, Interpolation, NotNegative, Padding, Share
from trainables.refusals import require_known

SMALL_SIDE = 32  # pixels; larger images take the stem that halves the map three times
WITH_SECOND_HEAD = (32, 224, 256)  # the sides of images whose map after the second halving is 7x7 or 8x8


@dataclass(frozen=True, kw_only=True)
class RetrainImages:
    """The images of the retraining, named as those of the search are."""

    dataset: str | None = None  # None: that of the search, all of its images, prepared as there
    folder: str | None = None
    num_classes: Count | None = None
    train_images: Count | None = None
    test_images: Count | None = None
    image_size: Count | None = None
    interpolation: Interpolation = "bicubic"
    augment: Literal["crop_flip", "rrc_flip", "flip", "none"] = "crop_flip"
    padding: Padding = "reflect"
    scale: Annotated[float, Field(gt=0, le=1)] = 0.08
    jitter: Share = 0.0
    hue: Hue = 0.0


@dataclass(frozen=True, kw_only=True)
class RetrainConfig(RetrainImages):
    """The options of ``retrain``; a study writes them ``retrain.dataset``, ``retrain.schedule``, ..."""

    weight_decay: NotNegative | None = None  # None: that of the search
    schedule: Literal["cosine", "linear"] = "cosine"  # of the learning rate, which changes after each epoch
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    label_smoothing: Share = 0.0  # of both heads
    accumulate: Count = 1  # parts of a batch, each normalised by itself, for one step of all


AS_SEARCHED = RetrainConfig()


def retrained_images(retrain: RetrainConfig, searched: DataConfig) -> DataConfig:
    """Return the images that the found network is trained and tested on: all of the search's data set, or others."""
    if retrain.dataset is None:
        return replace(searched, subset=NO_SUBSET)
    given = {field.name: getattr(retrain, field.name) for field in fields(RetrainImages)}
    options = {name: given.pop(name) for name in ("padding", "scale", "jitter", "hue")}
    return DataConfig(bad_images=searched.bad_images, augment_options=AugmentConfig(**options), **given)


def check_retraining(
    retrain: RetrainConfig, searched: DataConfig, *, epochs: int, batch_size: int, auxiliary: float
) -> None:
    """Raise ``ValueError``, one sentence, for values of the retraining that do not fit together."""
    if retrain.dataset is None:
        for field in fields(RetrainImages):
            if (given := getattr(retrain, field.name)) != field.default:
                raise ValueError(f"retrain.{field.name} needs the key retrain.dataset, got {given!r} without it")
    else:
        require_known("retrain.dataset", retrain.dataset, DATASETS)
    images = retrained_images(retrain, searched)
    try:
        check_data(images)
        check_read(images)
    except ValueError as error:
        where = "" if retrain.dataset is None else "retrain.*: "
        raise ValueError(f"{where}{error}") from None
    channels, side, _ = DATASETS[images.dataset].image_shape
    side = images.image_size or side
    if channels != 3 or side % SMALL_SIDE:
        raise ValueError(
            f"a network that was found is for images in three channels whose side is a multiple of {SMALL_SIDE} "
            f"pixels, got dataset {images.dataset!r} at {side} pixels"
        )
    if auxiliary and side not in WITH_SECOND_HEAD:
        sides = ", ".join(map(str, WITH_SECOND_HEAD))
        raise ValueError(f"auxiliary must be 0 unless images have a side of {sides} pixels, got {auxiliary} at {side}")
    if retrain.warmup_epochs >= epochs:
        raise ValueError(f"retrain.warmup_epochs must be less than epochs, {epochs}, got {retrain.warmup_epochs}")
    if batch_size % retrain.accumulate:
        raise ValueError(f"retrain.accumulate must divide batch_size {batch_size}, got {retrain.accumulate}")
    num_train = images.train_images or DATASETS[images.dataset].num_train
    if num_train is not None:
        check_second_head(num_train, side, batch_size, retrain.accumulate, auxiliary)


def check_second_head(images: int, side: int, batch_size: int, accumulate: int, auxiliary: float) -> None:
    """Raise ``ValueError`` if the second head, whose map ends as one pixel, would have to learn from one image."""
    part_size = batch_size // accumulate
    if auxiliary and side == SMALL_SIDE and (part_size == 1 or images % part_size == 1):
        raise ValueError(
            f"the last batch of {images} training images has 1 image, and the second head's batch norm cannot learn "
            f"from one: set auxiliary to 0, or another batch_size than {batch_size}"
        )
