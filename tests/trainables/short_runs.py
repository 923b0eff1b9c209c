"""Training runs on ten images of 16 pixels, and the recipe of a transformer."""

from tests.trainables import runs
from trainables.training import Run

SETTINGS = {
    **{"dataset": "cifar10", "backbone": "resnet8", "init": "torch_default", "mixer": "cutmix", "epochs": 3},
    **{"image_size": 16, "batch_size": 4, "lr": 0.05, "precision": "float32"},
}
VIT = {
    **{"optimiser": "adamw", "lr": 1e-3, "weight_decay": 0.05, "weight_decay_on": "matrices", "grad_clip": 1.0},
    **{"lr_changes": "each_step", "min_lr": 1e-6, "warmup_epochs": 1, "warmup_start": 0.1, "label_smoothing": 0.1},
}


def run_of(count: int = 10, **keys) -> Run:
    return runs.run_of(count, **{**SETTINGS, "augment": "crop_flip", **keys})


def trained(run: Run) -> Run:
    while not run.finished:
        run.next_epoch()
    return run
