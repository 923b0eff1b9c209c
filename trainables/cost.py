"""The cost of a run in seconds and GPU memory, estimated from a few of its steps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Generator
from torch.utils.flop_counter import FlopCounterMode

from trainables.config import Config, mixer_options
from trainables.cuda_graph import STEPS_TO_GRAPH
from trainables.datasets import DATASETS
from trainables.datasets.data_config import DataConfig, on_all_images
from trainables.datasets.dataset import DataError, Split, Splits
from trainables.datasets.opening import dataset_of, folder_of, images_of, open_splits
from trainables.evaluation import test_batch
from trainables.hardware import device, seconds_of
from trainables.memory import MIB, ran_out
from trainables.methods import METHODS
from trainables.methods.inputs import inputs_of
from trainables.methods.mask_learning import AutoMixing
from trainables.methods.mixing import Mixing
from trainables.mixers import MIXERS
from trainables.network_shapes import Undrawn, tried
from trainables.rehearsal import mixer_arguments, rehearse
from trainables.training import Run

SLOW_STEP = 0.25  # seconds; a timed step that takes longer is not repeated
LONG_STEP = 0.05  # seconds; one that takes longer is not tried on a larger batch
PLAIN = "mixup"  # the mixer with which a network is timed for all
MAPS_OF_A_PASS = {"encode", "num_stages"}  # a mixer that asks for no more mixes maps in the pass that is made anyway
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
_measured: dict[tuple[str, ...], Any] = {}  # the results of ``once``


def seconds(settings: Config, data_root: Path) -> float:
    """Return roughly how long a run takes on this machine, from a few timed steps on noise."""
    sizes = (settings.batch_size,) if torch.cuda.is_available() else (2, 20)
    for size in sizes:
        train_seconds, test_seconds = batch_seconds(settings, min(size, settings.batch_size))
        if train_seconds > LONG_STEP:  # for a large network a larger batch would add little
            break
    num_train, num_test = counts(settings, data_root)
    kept = settings.subset.share * num_train
    held = min(kept, settings.validation if settings.validation >= 1 else settings.validation * kept)
    trained, tested = kept - held, held + num_test * (settings.evaluate == "test")
    tested += trained * settings.recalibrate  # a test then also sees the training images
    epoch = train_seconds * trained + test_seconds * tested
    return settings.epochs * epoch / min(size, settings.batch_size)


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

    num_train, num_test = once((settings.dataset, str(folder)), count)
    return settings.num_train or num_train, settings.num_test or num_test


def batch_seconds(settings: Config, size: int) -> tuple[float, float]:
    """Return the seconds of a step on ``size`` images of noise in training, and in testing.

    A network is timed once, for all mixers and methods. For a method that sends more images through it, that time is
    multiplied by the ratio of floating-point operations, which is counted for one network and one of its layers,
    because it is nearly the same for all. The mixing itself is timed once, for all networks; only a momentum pipeline
    is timed as a whole. Nothing is timed again for another number of epochs or of images.
    """
    step = tuple(str(getattr(settings, name)) for name in OF_A_STEP)
    step += (str(settings.sumix.any), settings.sumix.preset, settings.sumix.raw_forward)
    mixer = (settings.mixer, str(settings.mixer_options), settings.automix.preset)
    learns_masks = issubclass(METHODS.get(settings.mixer, Mixing), AutoMixing)
    if settings.mixer_options["pipeline"] not in (None, "none") and not learns_masks:
        return once((*step, *mixer, str(size)), lambda: step_seconds(settings, size))
    plain = replace(settings, mixer=PLAIN, mixer_options=mixer_options(PLAIN, {}))
    train_seconds, test_seconds = once((*step, str(size)), lambda: step_seconds(plain, size))
    train_seconds -= mixing_seconds(plain, size)
    asked = inputs_of(settings.mixer)
    if "saliency" in asked:
        train_seconds *= 1 + SALIENCY_SHARE
    elif asked.keys() - MAPS_OF_A_PASS or settings.mixer in METHODS:
        passes = {name: value for name, value in settings.mixer_options.items() if name != "layer"}
        counted = (settings.mixer, str(passes), settings.automix.preset)
        train_seconds *= once(counted, lambda: products(_shallow(settings)) / products(_shallow(plain)))
    return train_seconds + mixing_seconds(settings, size), test_seconds


def products(settings: Config) -> int:
    """Return the floating-point operations of a step on two images, in convolutions and products of matrices."""
    tried(settings)  # once for all of this network, and not counted
    with FlopCounterMode(display=False) as counter:
        rehearse(settings)
    return int(counter.get_total_flops())


def _shallow(settings: Config) -> Config:
    """Return ``settings`` with few layers in a ResNet for photographs: they are counted one by one in Python."""
    return replace(settings, backbone="resnet18_imagenet") if settings.backbone.endswith("_imagenet") else settings


def once(key: tuple[str, ...], measure: Callable[[], T]) -> T:
    """Return the result of ``measure``, which is called for the first ``key`` of its kind only."""
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
    shown = (str(shapes[0]), str(maps), str(size))
    return once((settings.mixer, str(settings.mixer_options), *shown), measure)


def least_seconds(compute: Callable[[], object]) -> float:
    """Return the seconds that ``compute`` takes; of two calls the faster, unless the first takes long."""
    times: list[float] = []
    while len(times) < 2 and sum(times) < SLOW_STEP:
        times.append(seconds_of(compute))
    return min(times)


def step_seconds(settings: Config, size: int) -> tuple[float, float]:
    """Return the seconds of a step on ``size`` images of noise in training, and in testing."""
    run = _run(settings, noise_splits(settings, size))
    train_seconds = run.train_epoch(1)[1]
    if train_seconds > SLOW_STEP:
        return train_seconds, _test_seconds(run)
    # The fastest of a few: the first also builds kernels and caches, and others may be using the machine.
    train_seconds = min(train_seconds, *(run.train_epoch(1)[1] for _ in range(_steps(run))))
    return train_seconds, min(_test_seconds(run), _test_seconds(run))


def _steps(run: Run) -> int:
    """Return the number of steps after which a step takes the time and the memory of all that follow."""
    return 2 + (0 if run.graphed is None else STEPS_TO_GRAPH)


def noise_splits(settings: DataConfig, size: int) -> Splits:
    """Return ``size`` images of noise, as the file of the data set would hold them, for training and for testing."""
    shape = (size, *DATASETS[settings.dataset].image_shape)
    noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=Generator().manual_seed(0))
    split = Split(noise, torch.arange(size) % dataset_of(settings).num_classes)
    return Splits(split, split)


def _test_seconds(run: Run) -> float:
    """Return how long a test on the images of a run takes."""
    return seconds_of(lambda: run.evaluate(run.train_set))


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
