"""Every data set by its name, those to train on and those to evaluate on. One is one file and one line here."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trainables.datasets import cub200
from trainables.datasets.aircraft import AIRCRAFT
from trainables.datasets.cifar8 import CIFAR8, CIFAR8_O
from trainables.datasets.cifar10 import CIFAR10
from trainables.datasets.cifar100 import CIFAR100
from trainables.datasets.cifar_c import CIFAR10_C, CIFAR100_C
from trainables.datasets.cub200 import CUB200
from trainables.datasets.dataset import Dataset
from trainables.datasets.evaluation_set import EvaluationSet
from trainables.datasets.fashion_mnist import FASHION_MNIST
from trainables.datasets.folder import FOLDER
from trainables.datasets.imagenet import IMAGENET
from trainables.datasets.imagenet_subsets import IMAGENET_A, IMAGENET_O
from trainables.datasets.inaturalist import INAT2017, INAT2018
from trainables.datasets.parquet import PARQUET
from trainables.datasets.places205 import PLACES205
from trainables.datasets.places365 import PLACES365
from trainables.datasets.tiny_imagenet import TINY_IMAGENET
from trainables.datasets.webdataset import WEBDATASET

DATASETS: dict[str, Dataset] = {
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "cifar8": CIFAR8,
    "fashion_mnist": FASHION_MNIST,
    "tiny_imagenet": TINY_IMAGENET,
    "imagenet": IMAGENET,
    "cub200": CUB200,
    "aircraft": AIRCRAFT,
    "inat2017": INAT2017,
    "inat2018": INAT2018,
    "places205": PLACES205,
    "places365": PLACES365,
    "folder": FOLDER,
    "webdataset": WEBDATASET,
    "parquet": PARQUET,
}

# The boxes around the objects of a data set's images, by the name of the file: (left, top, right, bottom) in pixels.
BOXES: dict[str, Callable[[Path], Mapping[str, Sequence[float]]]] = {"cub200": cub200.boxes}

EVALUATION_SETS: dict[str, EvaluationSet] = {
    "cifar10_c": CIFAR10_C,
    "cifar100_c": CIFAR100_C,
    "cifar8_o": CIFAR8_O,
    "imagenet_o": IMAGENET_O,
    "imagenet_a": IMAGENET_A,
}
