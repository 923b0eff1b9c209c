"""The papers' training recipes, per data set and backbone, as plain values with dotted keys."""

from typing import Any

# SUMix section 5.3 and the configurations of OpenMixup that it follows: SGD with momentum 0.9, a cosine
# per epoch from 0.1 to 0, crops of images padded by reflection, flips, batches of 100.
CIFAR100_RESNET18: dict[str, Any] = {
    "dataset": "cifar100",
    "backbone": "resnet18",
    "init": "om_table",
    "augment": "crop_flip",
    "epochs": 800,
    "batch_size": 100,
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "mixer.alpha": 0.2,
    "sumix.zeta": 0.5,
}

# Real images and a network that learns something, on two processor cores. A residual branch that starts at zero,
# as the papers' does, needs more epochs than these to catch up.
_LAPTOP: dict[str, Any] = {"backbone": "resnet8", "init": "torch_default", "batch_size": 32, "lr": 0.05}

# What `--preset` changes in a study: configuration keys, and the number of seeds.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "quick": {**_LAPTOP, "train_images": 4000, "epochs": 4},  # minutes
    "smoke": {**_LAPTOP, "train_images": 300, "test_images": 1000, "epochs": 2, "seeds": 1},  # shows that it runs
}
