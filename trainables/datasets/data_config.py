"""The part of a run's configuration that says which images it sees, and how they are prepared."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import Field

from trainables.datasets import DATASETS
from trainables.ranges import Classes, Count, Few, Hue, Interpolation, NotNegative, Padding, Share, Side, Whole
from trainables.refusals import counted, require_unset

PADDING = 4  # pixels on each side that crop_flip adds, as in all the papers

# The column of the file that a rule sorts by, and the sign that puts the first choice on top.
COLUMNS: dict[str, tuple[str, int]] = {
    "cv": ("cv", 1),  # the paper's own: the coefficient of variation of the loss
    "easy": ("mean", -1),
    "hard": ("mean", 1),
    "std": ("std", 1),
    "dropout": ("dropout", 1),
    "k_centre": ("k_centre", -1),
}
Rule = Literal["none", "random", "cv", "easy", "hard", "std", "dropout", "k_centre"]


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """The options of ``augment``; a study writes them ``augment.scale``, ``augment.resize``, ..."""

    padding: Padding = "reflect"  # for crop_flip: what lies beyond the border; zeros in CutMix's own CIFAR code
    scale: Annotated[float, Field(gt=0, le=1)] = 0.08  # for rrc_flip: the smallest share of the area that a crop keeps
    resize: Side | None = None  # for rrc_flip of streamed images: the shorter side before the crop, in pixels
    randaugment: Literal["none", "fixmatch", "increasing"] = "none"  # the set of operations
    operations: Few = 2  # how many operations RandAugment applies, one after another
    level: Annotated[float, Field(ge=0, le=10)] = 9.0  # the strength of RandAugment
    level_std: NotNegative = 0.5  # the standard deviation of that strength
    jitter: Share = 0.0  # how far brightness, contrast and saturation vary
    hue: Hue = 0.0  # how far colours may turn; of images of three channels
    lighting: NotNegative = 0.0  # the standard deviation of PCA noise; of images of three channels
    erasing: Share = 0.0  # probability that a box of an image becomes noise


@dataclass(frozen=True, kw_only=True)
class SubsetConfig:
    """The options of the subset; a study writes them ``subset.rule``, ``subset.share``, ..."""

    rule: Rule = "none"  # none: all images; random: whatever their scores
    share: Annotated[float, Field(gt=0, le=1)] = 1.0  # t of the paper, of each class
    # top: the first of the sorted class; interval: images at equal distances in it, from the first on.
    sampling: Literal["top", "interval"] = "top"
    scores: str | None = None  # the file that analysis/uncertainty.py writes
    draw: Whole = 0  # for the rule random: another number, another subset

    @property
    def given(self) -> str:
        """Return the first option that is not as in ``NO_SUBSET``, and its value."""
        return next(f"subset.{key} {value!r}" for key, value in vars(self).items() if value != getattr(NO_SUBSET, key))


NO_SUBSET = SubsetConfig()


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The images that a run trains on and is tested on, and how they are prepared."""

    dataset: str = "cifar100"
    folder: str | None = None  # only for data sets in a folder: its name in the data root
    num_classes: Classes | None = None  # only for data sets in a folder; None for every other
    train_images: Count | None = None  # the first n of the training set; None for all
    test_images: Count | None = None  # the same of the test set, which is not read with evaluate 'validation'
    subset: SubsetConfig = NO_SUBSET  # the part of those training images that is kept
    validation: NotNegative = 0.0  # held out of those training images: a share below 1, else a number of images
    evaluate: Literal["test", "validation"] = "test"  # validation: for whatever is selected; the test set is not read
    bad_images: Literal["refuse", "skip"] = "refuse"  # what to do with streamed images that cannot be decoded

    image_size: Side | None = None  # the side in pixels of what the network sees; None: the data set's own
    test_size: Side | None = None  # the same in testing, where images are streamed; None: image_size
    # Where images are streamed, the shorter side before the test's centre crop; None: by the data set's crop ratio.
    resize: Side | None = None
    # The mean and standard deviation of pixels: OpenMixup's, which for CIFAR-100 are CIFAR-10's; or the data set's own.
    normalisation: Literal["openmixup", "own"] = "openmixup"
    # For images that are resized: those that are streamed, and others under rrc_flip or at another image_size.
    interpolation: Interpolation = "bicubic"
    augment: Literal["crop_flip", "rrc_flip", "flip", "none"] = "crop_flip"
    augment_options: AugmentConfig = AugmentConfig()

    @property
    def side(self) -> int:
        """Return the side in pixels of the images that the network is trained on; the data set is a known one."""
        return self.image_size or DATASETS[self.dataset].image_shape[1]

    @property
    def tested_side(self) -> int:
        """Return the side in pixels of the images that the network is tested on."""
        return self.test_size or self.side

    @property
    def num_train(self) -> int | None:
        """Return the number of training images, or None where only their folder tells."""
        return self.train_images or DATASETS[self.dataset].num_train

    @property
    def num_test(self) -> int | None:
        """Return the number of test images, or None where only their folder tells."""
        return self.test_images or DATASETS[self.dataset].num_test


C = TypeVar("C", bound=DataConfig)


def on_all_images(config: C) -> C:
    """Return the same configuration for images that are trained and tested on as they are given, all of them."""
    return replace(config, train_images=None, subset=NO_SUBSET, test_images=None, validation=0.0, evaluate="test")


def check_data(config: DataConfig) -> None:
    """Raise ``ValueError``, one sentence, for any fault that no file could fix; the data set is a known one."""
    dataset, here = DATASETS[config.dataset], f"with dataset {config.dataset!r}"
    for key in "folder", "num_classes":
        given = getattr(config, key)
        if dataset.in_folder and given is None:
            raise ValueError(f"dataset {config.dataset!r} needs the key {key}")
        if not dataset.in_folder and given is not None:  # the files of all data sets take a second to import
            others = ", ".join(repr(name) for name, other in DATASETS.items() if other.in_folder)
            require_unset(key, given, [None], f"the data sets {others}", here)
    check_counts(config, dataset.num_train, dataset.num_test)
    check_subset(config.subset)
    if config.num_train is not None:
        held_out_count(config.validation, config.num_train)
    if config.evaluate == "validation" and not config.validation:
        raise ValueError("evaluate 'validation' needs the key validation, a share or a number of training images")
    if dataset.image_shape[0] != 3:
        for key in "hue", "lighting":
            given = getattr(config.augment_options, key)
            require_unset(f"augment.{key}", given, [0.0], "images of three channels", here)
    if config.resize is not None and config.resize < (side := config.tested_side):
        raise ValueError(f"resize must be at least {side}, the side of the crop that is tested, got {config.resize}")


def check_counts(config: DataConfig, num_train: int | None, num_test: int | None) -> None:
    """Raise ``ValueError`` if more images are asked for than there are, as far as that is known."""
    for key, there in ("train_images", num_train), ("test_images", num_test):
        given = getattr(config, key)
        if given is not None and there is not None and given > there:
            name = config.folder or config.dataset
            raise ValueError(f"{key} must be at most {there}, the size of {name}, got {given}")


def check_read(config: DataConfig) -> None:
    """Raise ``ValueError``, one sentence, for an option of the images that is set though nothing would read it.

    The options are refused before a run starts and not by ``check_data``, so that a finished run which has one can
    still be read.
    """
    dataset, here = DATASETS[config.dataset], f"with dataset {config.dataset!r}"
    if not dataset.streamed:  # its images are decoded once, and tested whole, at the side of training
        streamed, whole = "images that are streamed from files", [None, config.side]
        require_unset("test_size", config.test_size, whole, streamed, here)
        require_unset("resize", config.resize, whole, streamed, here)
        require_unset("augment.resize", config.augment_options.resize, [None], streamed, here)
        require_unset("bad_images", config.bad_images, ["refuse"], streamed, here)
        if config.side == dataset.image_shape[1] and config.augment != "rrc_flip":
            at = f"{here} at its own {config.side} pixels and augment {config.augment!r}"
            require_unset("interpolation", config.interpolation, ["bicubic"], "images that are resized", at)
    if (rule := config.subset.rule) != "random":
        require_unset("subset.draw", config.subset.draw, [0], "subset.rule 'random'", f"with {rule!r}")


def check_subset(config: SubsetConfig) -> None:
    """Raise ``ValueError`` for options that do not go together."""
    if config.rule == "none" and config != NO_SUBSET:
        rules = ", ".join(rule for rule in get_args(Rule) if rule != "none")
        raise ValueError(f"{config.given} needs a subset.rule, one of {rules}, got 'none'")
    if (config.rule in COLUMNS) != (config.scores is not None):
        scores = "the scores.csv of analysis/uncertainty.py" if config.rule in COLUMNS else "None"
        raise ValueError(f"subset.scores must be {scores} with subset.rule {config.rule!r}, got {config.scores!r}")


def held_out_count(validation: float, images: int) -> int:
    """Return how many of ``images`` training images to hold out; ``validation`` is a share below 1, or that number."""
    if validation >= 1 and validation != int(validation):
        raise ValueError(f"validation must be a share below 1 or a whole number of images, got {validation}")
    available = counted(images, "training image")
    count = int(validation) if validation >= 1 else round(validation * images)
    if count >= images:
        raise ValueError(f"validation must leave some of the {available}, got {validation:g}")
    if validation and not count:
        raise ValueError(f"validation must hold out at least 1 of the {available}, got {validation:g}")
    return count
