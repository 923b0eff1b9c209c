"""The values that the short presets of a study change besides those that every study changes."""

from trainables.recipes.recipe import Recipe

# For a study whose own data set cannot be fetched automatically: its short presets run on CIFAR-10.
ON_CIFAR10: dict[str, Recipe] = {
    "quick": {"dataset": "cifar10"},
    "smoke": {"dataset": "cifar10"},
}

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
TRANSFORMER_ON_CIFAR10: dict[str, Recipe] = {
    "quick": _TRANSFORMER,
    "smoke": _TRANSFORMER,
}
