"""Training runs on a few random images, which take a moment."""

from typing import Any

from torch import Tensor

from trainables.config import parse
from trainables.cost import noise_splits
from trainables.datasets.opening import open_splits
from trainables.device.hardware import device
from trainables.training import Run

SETTINGS = {
    **{"dataset": "cifar10", "backbone": "resnet8", "epochs": 2, "batch_size": 8, "lr": 0.05, "precision": "float32"},
    **{"mixer": "none", "augment": "none"},
}
SHORT = {
    **{**SETTINGS, "init": "torch_default", "mixer": "cutmix", "epochs": 3, "image_size": 16, "batch_size": 4},
    **{"augment": "crop_flip"},
}
VIT = {  # the recipe of a transformer
    **{"optimiser": "adamw", "lr": 1e-3, "weight_decay": 0.05, "weight_decay_on": "matrices", "grad_clip": 1.0},
    **{"lr_changes": "each_step", "min_lr": 1e-6, "warmup_epochs": 1, "warmup_start": 0.1, "label_smoothing": 0.1},
}


def run_of(count: int = 20, **keys) -> Run:
    """Return a run on ``count`` random images of CIFAR-10's size, which are both its training and its test set."""
    settings = parse({**SETTINGS, **keys})
    return Run(settings, 0, open_splits(settings, noise_splits(settings, count), device()))


def short_run(count: int = 10, **keys) -> Run:
    """Return a run on images of 16 pixels, in batches of four."""
    return run_of(count, **{**SHORT, **keys})


def trained(run: Run) -> Run:
    while not run.finished:
        run.next_epoch()
    return run


def weights(run: Run) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in run.method.named_parameters()}


def numbers(run: Any) -> list[dict[str, float]]:
    """Return the metrics of every epoch of a run but for times."""
    return [{key: value for key, value in epoch.metrics.items() if "seconds" not in key} for epoch in run.history]
