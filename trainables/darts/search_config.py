"""The configuration of an architecture search and of the training of what it finds; the defaults are the paper's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from trainables.config import annotations, checked, require_known
from trainables.datasets import DATASETS
from trainables.datasets.data_config import AugmentConfig, DataConfig, SubsetConfig, check_data
from trainables.ranges import Count, NotNegative, Positive, ShareBelowOne

SECTIONS = {"augment": "augment_options", "subset": "subset"}  # keys with a dot, and the field of their values
OPERATIONS = (  # as PC-DARTS names them
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
HALVES = 0.5  # of the images that a search sees, half learn the weights and half the architecture


@dataclass(frozen=True, kw_only=True)
class SearchConfig(DataConfig):
    """Everything that determines the numbers of a run, except its seed. ``subset.*`` is what the search sees."""

    operations: tuple[str, ...] = OPERATIONS
    search_epochs: Count = 50
    frozen_epochs: int = 15  # the first, in which only the weights are learned
    search_channels: Count = 16
    search_cells: Count = 8
    partial: Count = 4  # operations see one channel in so many
    search_batch_size: Count = 256
    search_lr: Positive = 0.1
    search_min_lr: NotNegative = 0.0
    architecture_lr: Positive = 6e-4
    architecture_weight_decay: NotNegative = 1e-3

    epochs: Count = 600  # of the network that was found, from scratch, on all images
    channels: Count = 36
    cells: Count = 20
    batch_size: Count = 96
    lr: Positive = 0.025
    drop_path: ShareBelowOne = 0.3  # at the end; it grows from 0
    auxiliary: NotNegative = 0.4  # the weight of the second head's loss
    cutout: int = 16  # the side of the square; 0 for none

    momentum: ShareBelowOne = 0.9  # of both
    weight_decay: NotNegative = 3e-4
    grad_clip: Positive = 5.0


DEFAULTS = SearchConfig()


def parse(config: Mapping[str, Any]) -> SearchConfig:
    """Return the typed configuration of a flat one.

    Raises:
        ValueError: one sentence that names the key, the value and what would be valid.
    """
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS.values()}
    kinds = annotations(SearchConfig)
    values: dict[str, Any] = {}
    for key, value in config.items():
        require_known("key", key, flatten(DEFAULTS))
        section, dot, name = key.partition(".")
        if dot:
            kind = {"augment": AugmentConfig, "subset": SubsetConfig}[section]
            sections[SECTIONS[section]][name] = checked(key, value, annotations(kind)[name])
        else:
            values[key] = checked(key, value, kinds[key])
    nested = {name: replace(getattr(DEFAULTS, name), **given) for name, given in sections.items()}
    parsed = replace(DEFAULTS, **values, **nested)
    _check(parsed)
    return parsed


def _check(config: SearchConfig) -> None:
    require_known("dataset", config.dataset, DATASETS)
    check_data(config)
    if config.validation or config.evaluate != "test":
        raise ValueError("a search holds out half of its images itself: leave validation 0 and evaluate 'test'")
    for name in config.operations:
        require_known("operation", name, OPERATIONS)
    if not set(config.operations) - {"none"} or len(set(config.operations)) < len(config.operations):
        raise ValueError(f"operations must be different, and one besides 'none', got {config.operations}")
    if not 0 <= config.frozen_epochs < config.search_epochs:
        raise ValueError(
            f"frozen_epochs must lie in 0..{config.search_epochs - 1}, below search_epochs, got {config.frozen_epochs}"
        )
    if config.search_channels % config.partial or config.search_channels < config.partial:
        raise ValueError(
            f"search_channels must be a multiple of partial, {config.partial}, got {config.search_channels}"
        )
    for key in "search_cells", "cells":
        if getattr(config, key) < 3:
            raise ValueError(f"{key} must be at least 3, so that two cells halve the map, got {getattr(config, key)}")
    if config.cutout < 0:
        raise ValueError(f"cutout must not be negative, got {config.cutout}")
    if config.channels % 2:
        raise ValueError(f"channels must be even, got {config.channels}")
    if DATASETS[config.dataset].image_shape != (3, 32, 32) or config.image_size not in (None, 32):
        raise ValueError(f"a search is for images of 32 pixels in three channels, got dataset {config.dataset!r}")


def flatten(config: SearchConfig) -> dict[str, Any]:
    """Return the flat form with every default written out; ``parse`` of it gives ``config`` again."""
    values = asdict(config)
    flat = {field.name: values[field.name] for field in fields(config) if field.name not in SECTIONS.values()}
    for prefix, name in SECTIONS.items():
        flat.update({f"{prefix}.{key}": value for key, value in values[name].items()})
    return flat
