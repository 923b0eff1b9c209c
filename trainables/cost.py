"""The cost of a run in seconds and GPU memory, estimated from a few of its steps."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Generator
from torch.utils.flop_counter import FlopCounterMode

from trainables.config import Config, mixer_options
from trainables.datasets import DATASETS
from trainables.datasets.data_config import DataConfig, on_all_images
from trainables.datasets.dataset import DataError, Split, Splits
from trainables.datasets.opening import dataset_of, folder_of, images_of, open_splits
from trainables.device.cuda_graph import STEPS_TO_GRAPH
from trainables.device.hardware import device, seconds_of
from trainables.device.memory import MIB, ran_out
from trainables.evaluation import test_batch
from trainables.methods import METHODS
from trainables.methods.inputs import inputs_of
from trainables.mixers import MIXERS, learns_masks
from trainables.network_shapes import Undrawn, tried
from trainables.rehearsal import mixer_arguments, rehearse
from trainables.training import Run

SLOW_STEP = 0.5  # seconds; on the CPU a step that takes longer is timed once, and on the fewest images alone
LONG_STEP = 0.05  # seconds; one that takes longer is not timed on many images
FEWEST, FEW, MANY = 2, 8, 20  # images of a timed step on the CPU, the last two for each thread that shares them
PLAIN = "mixup"  # the mixer with which a network is timed, in place of every other
MAPS_OF_A_PASS = {"encode", "num_stages"}  # a mixer that asks only for these needs no further pass
SALIENCY_SHARE = 2 / 3  # two of a step's three passes: forward, back to the weights, and back to the pixels
# The settings that decide how long a step takes, besides the mixer's and SUMix's.
OF_A_STEP = (
    *("dataset", "num_classes", "image_size", "test_size", "augment", "augment_options", "backbone", "drop_path"),
    *("drop_block", "batch_size", "accumulate", "precision", "compile", "cuda_graph", "clean_loss", "loss"),
    *("optimiser", "ema"),
)
UNKNOWN_IMAGES = 10_000  # the number that an estimate assumes where a folder cannot be read
CONTEXT_MIB = 800  # besides a process's tensors: the CUDA context and libraries, which torch does not count

T = TypeVar("T")
_measured: dict[Hashable, Any] = {}  # the results of ``once``


def seconds(settings: Config, data_root: Path) -> float:
    """Return roughly how long a run takes on this machine, from a few timed steps on noise.

    A GPU is timed as it trains. On the CPU, steps on two small batches give the seconds of a batch: some for the step
    itself, such as the optimiser's, and as many for each image.
    """
    batch = settings.batch_size
    size = batch if torch.cuda.is_available() else min(FEWEST, batch)
    train_seconds, test_seconds = batch_seconds(settings, size)
    larger = min((MANY if train_seconds < LONG_STEP else FEW) * torch.get_num_threads(), batch)
    if size < larger and train_seconds < SLOW_STEP:
        of_larger, growth = batch_seconds(settings, larger), (batch - size) / (larger - size)
        train_seconds += growth * (of_larger[0] - train_seconds)
        test_seconds += growth * (of_larger[1] - test_seconds)
        size = batch
    num_train, num_test = counts(settings, data_root)
    kept = settings.subset.share * num_train
    held = min(kept, settings.validation if settings.validation >= 1 else settings.validation * kept)
    trained, tested = kept - held, held + (num_test if settings.evaluate == "test" else 0)
    if settings.recalibrate:
        tested += trained  # a test then also sees the training images
    epoch = train_seconds * trained + test_seconds * tested
    return settings.epochs * epoch / size


def counts(settings: DataConfig, data_root: Path) -> tuple[int, int]:
    """Return the numbers of training and of test images, which are counted where only their folder tells."""
    if settings.num_train is not None and settings.num_test is not None:
        return settings.num_train, settings.num_test
    folder = folder_of(settings, data_root)

    def count() -> list[int]:
        try:
            return [len(images.labels) for images in DATASETS[settings.dataset].load(folder)]
        except DataError:  # the start of a run names what is missing or wrong
            return [UNKNOWN_IMAGES, UNKNOWN_IMAGES]

    num_train, num_test = once((settings.dataset, folder), count)
    return settings.num_train or num_train, settings.num_test or num_test


def batch_seconds(settings: Config, size: int) -> tuple[float, float]:
    """Return the seconds of a step on ``size`` images of noise in training, and in testing.

    A network is timed once, for all mixers and methods and without SUMix, and the time of its passes is multiplied by
    ``passes``. The mixing itself is timed once, for all networks; only a momentum pipeline is timed as a whole.
    Nothing is timed again for another number of epochs or of images.
    """
    step = tuple(str(getattr(settings, name)) for name in OF_A_STEP)
    if settings.mixer_options["pipeline"] not in (None, "none") and not learns_masks(settings.mixer):
        mixer = (settings.mixer, str(settings.mixer_options), *_of_sumix(settings))
        return once((*step, *mixer, size), lambda: step_seconds(settings, size))
    without = replace(settings.sumix, lam="fixed", regulariser="none")
    plain = replace(settings, mixer=PLAIN, mixer_options=mixer_options(PLAIN, {}), sumix=without)
    train_seconds, test_seconds = once((*step, size), lambda: step_seconds(plain, size))
    of_passes = (train_seconds - mixing_seconds(plain, size)) * passes(settings, plain)
    return of_passes + mixing_seconds(settings, size), test_seconds


def passes(settings: Config, plain: Config) -> float:
    """Return how much a step computes in the network, as a multiple of what one of ``plain`` does.

    It is the ratio of floating-point operations, which is counted for one network and one of its layers, because it is
    nearly the same for all: for SUMix, whose passes are whole, a small network. One for saliency is added, not counted.
    """
    asked = inputs_of(settings.mixer)
    salient = "saliency" in asked
    if not salient and (asked.keys() - MAPS_OF_A_PASS or settings.mixer in METHODS):
        counted, plain = _shallow(settings), _shallow(plain)
    else:
        plain = replace(plain, backbone="resnet8")
        counted = replace(plain, sumix=settings.sumix)
    options = {name: value for name, value in counted.mixer_options.items() if name != "layer"}
    key = (counted.mixer, str(options), counted.automix.preset, *_of_sumix(counted))
    ratio = 1 if counted == plain else once(key, lambda: products(counted) / products(plain))
    return ratio + SALIENCY_SHARE * salient


def _of_sumix(settings: Config) -> tuple[Hashable, ...]:
    """Return what decides how long SUMix takes."""
    sumix = settings.sumix
    return sumix.any, sumix.learns_before_mixing, sumix.preset, sumix.raw_forward


def products(settings: Config) -> int:
    """Return the floating-point operations of a step on two images, in convolutions and products of matrices."""
    tried(settings)  # once for all of this network, and not counted
    with FlopCounterMode(display=False) as counter:
        rehearse(settings)
    return counter.get_total_flops()


def _shallow(settings: Config) -> Config:
    """Return ``settings`` with a ResNet-18 in place of a deeper network for photographs, which takes long to count."""
    return replace(settings, backbone="resnet18_imagenet") if settings.backbone.endswith("_imagenet") else settings


def once(key: Hashable, measure: Callable[[], T]) -> T:
    """Return the result of ``measure``, which is called the first time that ``key`` is asked for, and then kept."""
    if key not in _measured:
        _measured[key] = measure()
    return cast(T, _measured[key])


def mixing_seconds(settings: Config, size: int) -> float:
    """Return the seconds in which the mixer mixes ``size`` images of noise, with noise for its other inputs."""
    shapes = tried(settings).shapes

    def measure() -> float:
        mixer = MIXERS[settings.mixer]
        images = torch.rand(size, *shapes[0], device=device())
        rng = Generator(images.device).manual_seed(0)
        options = mixer_arguments(settings, images, shapes, rng)
        return least_seconds(lambda: mixer(images, rng, **options))

    maps = shapes if inputs_of(settings.mixer).keys() - {"saliency"} else ()  # saliency has the shape of the images
    return once((settings.mixer, str(settings.mixer_options), shapes[0], maps, size), measure)


def least_seconds(compute: Callable[[], object], calls: int = 2) -> float:
    """Return the seconds that ``compute`` takes: of some calls the fastest, or of one that takes long on the CPU.

    The first call also builds caches; on a GPU, it loads the kernels, which takes long by itself.
    """
    first = seconds_of(compute)
    repeated = first < SLOW_STEP or torch.cuda.is_available()
    return min([first, *(seconds_of(compute) for _ in range(repeated * (calls - 1)))])


def step_seconds(settings: Config, size: int) -> tuple[float, float]:
    """Return the seconds of a step on ``size`` images of noise in training, and in testing."""
    run = _run(settings, noise_splits(settings, size))
    if settings.compile:  # which takes a minute, but in a run's first steps alone
        run.train_epoch(1)
        run.evaluate(run.train_set)
    train_seconds = least_seconds(lambda: run.train_epoch(1), 1 + _steps(run))
    return train_seconds, least_seconds(lambda: run.evaluate(run.train_set))


def _steps(run: Run) -> int:
    """Return the number of steps after which a step takes the time and the memory of all that follow."""
    return 2 + (0 if run.graphed is None else STEPS_TO_GRAPH)


def noise_splits(settings: DataConfig, size: int) -> Splits:
    """Return ``size`` images of noise, as the file of the data set would hold them, for training and for testing."""
    shape = (size, *DATASETS[settings.dataset].image_shape)
    noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=Generator().manual_seed(0))
    split = Split(noise, torch.arange(size) % dataset_of(settings).num_classes)
    return Splits(split, split)


def gpu_memory(settings: Config, data_root: Path) -> tuple[float, float]:
    """Return the MiB that a run needs on this process's GPU, and the MiB that are free there for runs.

    The run takes a few steps, and tests on a batch of its own images; a data set that lives on the device is added
    whole. ``ValueError`` says that there is no GPU, or that the run does not fit it.
    """
    if not torch.cuda.is_available():
        raise ValueError("the memory of a trial cannot be measured: torch sees no GPU")
    splits = images_of(settings, data_root)
    tested = splits.test if settings.evaluate == "test" else splits.train  # of which a run holds some out
    few = Splits(splits.train.take(slice(settings.batch_size)), tested.take(slice(test_batch(settings))))
    free = 0.0
    try:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        free = torch.cuda.mem_get_info()[0] / MIB  # this process's context exists by now, and is not part of it
        run = _run(settings, few)
        for epoch in range(1, 1 + _steps(run)):  # the second has the optimiser's state from the start
            run.train_epoch(epoch)
        for _ in range(_steps(run)):
            run.evaluation()
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise ValueError(
            f"a trial of {settings.backbone} with batches of {settings.batch_size} does not fit the {free:.0f} MiB "
            "that the GPU has free: lower batch_size, or end what else uses the GPU"
        ) from None
    resident = sum(split.images.nbytes for split in splits if isinstance(split, Split)) / MIB
    return torch.cuda.max_memory_reserved() / MIB + resident + CONTEXT_MIB, free + CONTEXT_MIB


def _run(settings: Config, splits: Splits) -> Run:
    """Return a run on these images and no others, whose weights are zero."""
    whole = replace(on_all_images(settings), drop_last=False)
    with Undrawn():
        return Run(whole, 0, open_splits(whole, splits, device()))
