"""The cost of a run in seconds and GPU memory, estimated from a few of its steps."""

import inspect
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Generator

from trainables.config import Config, mixer_options
from trainables.datasets import DATASETS
from trainables.datasets.data_config import on_all_images
from trainables.datasets.dataset import Split, Splits
from trainables.datasets.opening import dataset_of, folder_of, open_splits
from trainables.datasets.resident import load_cached, subset
from trainables.hardware import device
from trainables.memory import MIB, ran_out
from trainables.methods import METHODS
from trainables.methods.inputs import asks_the_network
from trainables.mixers import MIXERS
from trainables.training import Run, test_batch

SLOW_STEP = 0.25  # seconds; a timed step that takes longer is not repeated
LONG_STEP = 0.05  # seconds; one that takes longer is not tried on a larger batch
PLAIN = "mixup"  # the mixer with which a network is timed for all that do not ask it
# The settings that decide how long a step takes, besides the mixer's and SUMix's.
OF_A_STEP = (
    *("dataset", "num_classes", "image_size", "test_size", "augment", "augment_options", "backbone", "drop_path"),
    *("drop_block", "batch_size", "accumulate", "precision", "compile", "clean_loss", "loss", "optimiser", "ema"),
)
UNKNOWN_IMAGES = 10_000  # the number of images that an estimate assumes in a folder
_timed: dict[tuple[str, ...], tuple[float, float]] = {}  # seconds of a step, mostly without its mixer, and of a test
CONTEXT_MIB = 800  # of a process besides its tensors: the CUDA context and libraries, which torch does not count


def seconds(settings: Config) -> float:
    """Return roughly how long a run takes on this machine, from a few timed steps on noise."""
    dataset = DATASETS[settings.dataset]
    sizes = (settings.batch_size,) if torch.cuda.is_available() else (2, 20)
    for size in sizes:
        train_seconds, test_seconds = batch_seconds(settings, min(size, settings.batch_size))
        if train_seconds > LONG_STEP:  # for a large network a larger batch would add little
            break
    num_train = settings.subset.share * (settings.train_images or dataset.num_train or UNKNOWN_IMAGES)
    num_test = settings.test_images or dataset.num_test or UNKNOWN_IMAGES
    epoch = train_seconds * num_train + test_seconds * num_test
    return settings.epochs * epoch / min(size, settings.batch_size)


def batch_seconds(settings: Config, size: int) -> tuple[float, float]:
    """Return the seconds of a step on ``size`` images of noise in training, and in testing.

    A mixer that asks nothing of the network is timed by itself, so that the network is timed once for all of them; and
    nothing is timed again for another number of epochs or of images.
    """
    key = tuple(str(getattr(settings, name)) for name in OF_A_STEP)
    key += (str(size), str(settings.sumix.any), settings.sumix.preset, settings.sumix.raw_forward)
    if settings.mixer in METHODS or asks_the_network(settings.mixer) or settings.mixer_options["pipeline"] is not None:
        key += (settings.mixer, str(settings.mixer_options), settings.automix.preset)
        if key not in _timed:
            _timed[key] = step_seconds(settings, size)
        return _timed[key]
    if key not in _timed:
        plain = replace(settings, mixer=PLAIN, mixer_options=mixer_options(PLAIN, {}))
        train_seconds, test_seconds = step_seconds(plain, size)
        _timed[key] = train_seconds - mixer_seconds(plain, size), test_seconds
    of_network, test_seconds = _timed[key]
    return of_network + mixer_seconds(settings, size), test_seconds


def mixer_seconds(settings: Config, size: int) -> float:
    """Return the seconds in which the mixer mixes ``size`` images of noise, the faster of two times."""
    images = torch.rand(size, *dataset_of(settings).image_shape, device=device())
    mixer, rng = MIXERS[settings.mixer], Generator(images.device).manual_seed(0)
    parameters = inspect.signature(mixer).parameters
    options = {name: value for name, value in settings.mixer_options.items() if name in parameters}
    times = []
    for _ in range(2):
        start = time.perf_counter()
        mixer(images, rng, **options).images[0, 0, 0, 0].item()  # which waits for the device
        times.append(time.perf_counter() - start)
    return min(times)


def step_seconds(settings: Config, size: int) -> tuple[float, float]:
    """Return the seconds of a step on ``size`` images of noise in training, and in testing."""
    noise = torch.randint(0, 256, (size, *DATASETS[settings.dataset].image_shape), dtype=torch.uint8)
    split = Split(noise, torch.arange(size) % dataset_of(settings).num_classes)
    run = _run(settings, Splits(split, split))
    train_seconds = run.train_epoch(1)[1]
    if train_seconds > SLOW_STEP:
        return train_seconds, _test_seconds(run)
    # The fastest of a few: the first also builds kernels and caches, and others may be using the machine.
    train_seconds = min(train_seconds, run.train_epoch(1)[1], run.train_epoch(1)[1])
    return train_seconds, min(_test_seconds(run), _test_seconds(run))


def _test_seconds(run: Run) -> float:
    """Return how long a test on the images of a run takes."""
    start = time.perf_counter()
    run.evaluate(run.train_set)
    return time.perf_counter() - start


def gpu_memory(settings: Config, data_root: Path) -> tuple[float, float]:
    """Return the MiB that a run needs on this process's GPU, and the MiB that are free there for runs.

    The run takes two steps and a test on a batch of its own images; a data set that lives on the device is added whole.

    Raises:
        ValueError: there is no GPU, or the run does not fit it.
    """
    if not torch.cuda.is_available():
        raise ValueError("the memory of a trial cannot be measured: torch sees no GPU")
    splits = load_cached(settings.dataset, folder_of(settings, data_root))
    few = Splits(
        subset(splits.train, min(settings.batch_size, len(splits.train.labels))),
        subset(splits.test, min(test_batch(settings), len(splits.test.labels))),
    )
    free = 0.0
    try:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        free = torch.cuda.mem_get_info()[0] / MIB  # this process's context exists by now, and is not part of it
        run = _run(settings, few)
        for epoch in (1, 2):  # the second has the optimiser's state from the start
            run.train_epoch(epoch)
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
    """Return a run on these images and no others."""
    whole = replace(on_all_images(settings), drop_last=False)
    return Run(whole, 0, open_splits(whole, splits, device()))
