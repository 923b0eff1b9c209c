"""Every data set by its name, those to train on and those to evaluate on. One is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainables.registry import Registry

if TYPE_CHECKING:
    from trainables.datasets.dataset import Dataset, EvaluationSet

# name: its file
DATASETS: Mapping[str, Dataset] = Registry(
    __name__,
    {
        "cifar10": "cifar10",
        "cifar100": "cifar100",
        "cifar8": "cifar8",
        "fashion_mnist": "fashion_mnist",
        "tiny_imagenet": "tiny_imagenet",
        "imagenet": "imagenet",
        "cub200": "cub200",
        "aircraft": "aircraft",
        "inat2017": "inaturalist",
        "inat2018": "inaturalist",
        "places205": "places",
        "places365": "places",
        "folder": "folder",
        "webdataset": "webdataset",
        "parquet": "parquet",
    },
)

EVALUATION_SETS: Mapping[str, EvaluationSet] = Registry(
    __name__,
    {
        "cifar10_c": "cifar_c",
        "cifar100_c": "cifar_c",
        "cifar8_o": "cifar8",
        "imagenet_o": "imagenet",
        "imagenet_a": "imagenet",
    },
)
