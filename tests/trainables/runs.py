"""Training runs on a few random images, which take a moment."""

from torch import Tensor

from trainables.config import parse
from trainables.cost import noise_splits
from trainables.datasets.opening import open_splits
from trainables.hardware import device
from trainables.training import Run

SETTINGS = {
    **{"dataset": "cifar10", "backbone": "resnet8", "epochs": 2, "batch_size": 8, "lr": 0.05, "precision": "float32"},
    **{"mixer": "none", "augment": "none"},
}


def run_of(count: int = 20, **keys) -> Run:
    """Return a run on ``count`` random images of CIFAR-10's size, which are both its training and its test set."""
    settings = parse({**SETTINGS, **keys})
    return Run(settings, 0, open_splits(settings, noise_splits(settings, count), device()))


def weights(run: Run) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in run.method.named_parameters()}
