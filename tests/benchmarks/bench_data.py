"""Measures how fast training images come: our data path against torchvision's, on the real CIFAR-10.

    python tests/benchmarks/bench_data.py        about half a minute; fetches CIFAR-10 into data/ if it is not there

Ours is ``Resident`` with ``crop_and_flip`` on the CPU, with 1 and with 2 threads. The other is a ``DataLoader`` with 2
worker processes, kept alive between epochs, over PIL images: RandomCrop (4 pixels of reflected padding),
RandomHorizontalFlip, ToTensor. Both give batches of 100 float32 images in [0, 1]. They run in turn, so that all see
the same machine; the table shows the median round. Expected on 2 idle cores: 25 times torchvision with 2 threads.
With other work on the cores 1 thread is the better, since threads that wait for each other then wait for long.
"""

from collections.abc import Callable

import torch
from PIL import Image
from recording import ROOT, Batches, compare
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from trainables.augment.crop_and_flip import crop_and_flip
from trainables.datasets import DATASETS
from trainables.datasets.dataset import Split
from trainables.datasets.resident import Resident
from trainables.seeds import generator

BATCH = 100
WORKERS = 2
IMAGES = 10_000  # a round


class PILImages(Dataset[tuple[Tensor, int]]):
    """The images as ``torchvision.datasets.CIFAR10`` serves them."""

    def __init__(self, split: Split) -> None:
        self.pixels = split.images.permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, C)
        self.labels = split.labels.tolist()
        crop = transforms.RandomCrop(32, padding=4, padding_mode="reflect")
        self.transform = transforms.Compose([crop, transforms.RandomHorizontalFlip(), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def main() -> None:
    cifar10 = DATASETS["cifar10"]
    cifar10.prepare(ROOT / "data")
    train = cifar10.load(ROOT / "data").train.take(slice(IMAGES))
    resident = Resident(train, "cpu", augment=crop_and_flip)
    loader = DataLoader(PILImages(train), BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True)

    def ours(threads: int) -> Batches:
        torch.set_num_threads(threads)
        return resident.train_batches(BATCH, generator(0, "data"), generator(0, "augment"))

    sources: dict[str, Callable[[], Batches]] = {
        f"torchvision DataLoader, PIL, {WORKERS} workers": lambda: loader,
        "Resident, 1 thread": lambda: ours(1),
        "Resident, 2 threads": lambda: ours(2),
    }
    compare(f"CIFAR-10, crop and flip, batches of {BATCH}, torch {torch.__version__}", IMAGES, sources)


if __name__ == "__main__":
    main()
