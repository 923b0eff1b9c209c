"""How fast training images come: our data path against torchvision's, on the real CIFAR-10.

    python tests/benchmarks/bench_data.py        about half a minute; fetches CIFAR-10 into data/ if it is not there

Ours is ``Resident`` with ``crop_and_flip`` on the CPU, with 1 and with 2 threads. The other is a ``DataLoader`` with 2
worker processes, kept alive between epochs, over PIL images: RandomCrop (4 pixels of reflected padding),
RandomHorizontalFlip, ToTensor. Both give batches of 100 float32 images in [0, 1]. They run in turn, so that all see
the same machine; the table shows the median round. Expected on 2 idle cores: 25 times torchvision with 2 threads.
With other work on the cores 1 thread is the better, since threads that wait for each other then wait for long.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from trainables.augment.crop_and_flip import crop_and_flip  # noqa: E402
from trainables.datasets import DATASETS  # noqa: E402
from trainables.datasets.dataset import Split  # noqa: E402
from trainables.datasets.resident import Resident, subset  # noqa: E402
from trainables.seeds import generator  # noqa: E402

BATCH = 100
WORKERS = 2
ROUNDS = 5
IMAGES = 10_000  # a round

Batches = Iterable[tuple[Tensor, Tensor]]


class PILImages(Dataset[tuple[Tensor, int]]):
    """The images as ``torchvision.datasets.CIFAR10`` serves them."""

    def __init__(self, split: Split) -> None:
        self.pixels = split.images.permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, C)
        self.labels = split.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def images_a_second(epoch: Callable[[], Batches]) -> float:
    """Of one epoch, batch after batch, without a network."""
    start = time.perf_counter()
    images = sum(len(labels) for _, labels in epoch())
    return images / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    cifar10 = DATASETS["cifar10"]
    cifar10.prepare(ROOT / "data")
    train = subset(cifar10.load(ROOT / "data").train, IMAGES)
    resident = Resident(train, "cpu", augment=crop_and_flip)
    loader = DataLoader(
        PILImages(train),
        BATCH,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )

    def ours(threads: int) -> Batches:
        torch.set_num_threads(threads)
        return resident.train_batches(BATCH, generator(0, "data"), generator(0, "augment"))

    paths: dict[str, Callable[[], Batches]] = {
        f"torchvision DataLoader, PIL, {WORKERS} workers": lambda: loader,
        "Resident, 1 thread": lambda: ours(1),
        "Resident, 2 threads": lambda: ours(2),
    }
    for epoch in paths.values():
        images_a_second(epoch)  # starts the workers, warms the caches
    rounds = [[images_a_second(epoch) for epoch in paths.values()] for _ in range(ROUNDS)]
    medians = [statistics.median(speeds) for speeds in zip(*rounds, strict=True)]

    print(
        f"CIFAR-10, crop and flip, batches of {BATCH}, median of {ROUNDS} rounds in turn, torch {torch.__version__}\n"
    )
    print("| data path | images a second | ratio |")
    print("|---|---:|---:|")
    for name, speed in zip(paths, medians, strict=True):
        print(f"| {name} | {speed:,.0f} | {speed / medians[0]:.1f} |")


if __name__ == "__main__":
    main()
