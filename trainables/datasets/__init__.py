"""Every data set by its name. A data set is one file and one line here."""

from trainables.datasets.cifar10 import CIFAR10
from trainables.datasets.cifar100 import CIFAR100
from trainables.datasets.dataset import Dataset
from trainables.datasets.fashion_mnist import FASHION_MNIST

DATASETS: dict[str, Dataset] = {
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "fashion_mnist": FASHION_MNIST,
}
