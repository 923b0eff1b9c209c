"""The presets of the command line, the paper's own values or small runs, and a study's changes to the small ones."""

from typing import Any

from trainables.config import DEFAULTS, Recipe, flatten
from trainables.recipes import k_image, large_images, small_images

# The keys that a study is about, which stay in a short preset.
_ABOUT = ("dataset", "mixer", "sumix", "automix")
_RECIPES: list[Recipe] = [
    value
    for module in (small_images, large_images, k_image)
    for value in vars(module).values()
    if isinstance(value, dict) and "lr" in value
]
_DEFAULTS: dict[str, Any] = flatten(DEFAULTS)

# Real images and a network that learns something, on two processor cores. A residual branch that starts at zero,
# as the papers' does, needs more epochs than these to catch up. Whatever else a recipe may set returns to its default.
LAPTOP: Recipe = {
    **{key: _DEFAULTS[key] for recipe in _RECIPES for key in recipe if not key.startswith(_ABOUT)},
    "backbone": "resnet8",
    "init": "torch_default",
    "batch_size": 32,
    "lr": 0.05,
    "lr_changes": "each_step",
}

# The values that `--preset` changes in a study: configuration keys, and the number of seeds.
PRESETS: dict[str, Recipe] = {
    "paper": {},
    "quick": {**LAPTOP, "train_images": 4000, "epochs": 3},  # minutes
    "smoke": {**LAPTOP, "train_images": 300, "test_images": 1000, "epochs": 2, "seeds": 1},  # shows that it runs
}

# For a study whose own data set cannot be fetched automatically: its short presets run on CIFAR-10.
ON_CIFAR10: dict[str, Recipe] = {"quick": {"dataset": "cifar10"}, "smoke": {"dataset": "cifar10"}}

# For a study of transformers: its short presets train one, for images of 32 pixels.
_TRANSFORMER: Recipe = {
    "dataset": "cifar10",
    "backbone": "vit_tiny_32",
    "init": "om_table",
    "optimiser": "adamw",
    "lr": 1e-3,
    "weight_decay": 0.05,
    "weight_decay_on": "matrices",
}
TRANSFORMER_ON_CIFAR10: dict[str, Recipe] = {"quick": _TRANSFORMER, "smoke": _TRANSFORMER}
