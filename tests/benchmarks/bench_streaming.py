"""Measures how fast images come from files: our streaming loader against torchvision's, and the memory that it takes.

    python tests/benchmarks/bench_streaming.py                   20,000 images: 8 minutes, 0.6 GB of disk for a while
    python tests/benchmarks/bench_streaming.py --images 2000     half a minute

Both read the same JPEG files of 256x256 pixels in 10 class folders with as many worker processes: decode, random
resized crop to 224 pixels (bilinear), random flip, batches of 64 float32 images in [0, 1]. torchvision's is a
``DataLoader`` over ``ImageFolder``. They run in turn, on a part of the files, and torch has 1 thread beside the
workers; the table shows the median. Then one process reads a whole epoch by ours, another trains a small network for
an epoch, and each says how much memory it took with its workers. Expected on 2 idle cores: 1.5 times torchvision;
reading takes 0.9 GiB, and both stay under 2 GiB.
"""

import concurrent.futures
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from recording import Batches, arguments, compare
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from trainables.classify import train
from trainables.config import parse
from trainables.datasets.dataset import BatchSource
from trainables.datasets.opening import open_dataset
from trainables.device import memory
from trainables.seeds import generator

BATCH = 64
WORKERS = 2
CLASSES = 10
TESTED = 100  # images of the test split; the loader needs one
SIDE = 256

CONFIG = {"dataset": "folder", "folder": "photos", "num_classes": CLASSES}
CONFIG |= {"augment": "rrc_flip", "interpolation": "bilinear"}


def write(folder: Path, first: int, last: int) -> None:
    """Write images ``first`` up to (not with) ``last``: smooth noise with grain, on disk as large as photographs."""
    for number in range(first, last):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (SIDE // 16, SIDE // 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
        grain = rng.integers(-12, 13, (SIDE, SIDE, 1), dtype=np.int16)
        image = Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))
        image.save(folder / f"class{number % CLASSES}" / f"{number:06}.jpg", quality=88)


def generate(root: Path, images: int, test: int = TESTED) -> None:
    """Write ``photos/train`` with some images, and ``photos/test``, into ``root``."""
    with concurrent.futures.ProcessPoolExecutor(WORKERS) as pool:
        jobs = []
        for split, count in (("train", images), ("test", test)):
            folder = root / "photos" / split
            for label in range(CLASSES):
                (folder / f"class{label}").mkdir(parents=True)
            step = -(-count // (4 * WORKERS))
            jobs += [pool.submit(write, folder, i, min(i + step, count)) for i in range(0, count, step)]
        for job in jobs:
            job.result()


def ours(root: Path, images: int | None) -> BatchSource:
    """Return our loader of the first ``images``."""
    return open_dataset(parse({**CONFIG, "train_images": images}), root, "cpu", workers=WORKERS).train


def epoch_of(source: BatchSource) -> Batches:
    return source.train_batches(BATCH, generator(0, "data"), generator(0, "augment"))


def torchvision_loader(root: Path, images: int) -> Batches:
    """Return torchvision's loader of as many."""
    steps = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    folder = ImageFolder(root / "photos" / "train", transforms.Compose(steps))
    some = Subset(folder, torch.randperm(len(folder))[:images].tolist())
    return DataLoader(some, BATCH, shuffle=True, num_workers=WORKERS)


def compare_loaders(root: Path, images: int) -> None:
    torch.set_num_threads(1)  # more would wait for the workers' processors
    source, other = ours(root, images), torchvision_loader(root, images)
    sources: dict[str, Callable[[], Batches]] = {
        f"torchvision ImageFolder and DataLoader, {WORKERS} workers": lambda: other,
        f"Streamed, {WORKERS} workers": lambda: epoch_of(source),
    }
    compare(f"{images} JPEG files of {SIDE}x{SIDE} pixels, crops of 224", images, sources)


def read_epoch(root: Path) -> tuple[int, float]:
    """Read one epoch of all images: how many there were, and the peak of memory with the workers, MiB."""
    memory.forget_peak()
    source = ours(root, None)
    seen = sum(len(labels) for _, labels in epoch_of(source))
    return seen, memory.peak_mib(torch.device("cpu")) + source.workers_mib


def train_epoch(root: Path) -> tuple[int, float]:
    """Train a small network on all images, at 64 pixels, for an epoch: the same numbers."""
    small = {"backbone": "resnet8", "image_size": 64, "batch_size": BATCH, "epochs": 1, "mixer": "cutmix"}
    metrics = train({**CONFIG, **small}, 0, data_root=root, workers=WORKERS).metrics
    return sum(1 for _ in (root / "photos" / "train").rglob("*.jpg")), metrics["peak_memory_mib"]


def main() -> None:
    parser = arguments(__doc__, images=20_000)
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FOLDER"), help="what a process of its own does")
    options = parser.parse_args()
    if options.measure is not None:
        what, folder = options.measure
        start = time.perf_counter()
        seen, mib = MEASURED[what](Path(folder))
        seconds = time.perf_counter() - start
        print(f"A process that {what} of {seen:,} images takes {mib:,.0f} MiB with its workers ({seconds:.0f} s).")
        return
    with tempfile.TemporaryDirectory(prefix="bench-streaming-") as folder:
        start = time.perf_counter()
        generate(Path(folder), options.images)
        print(f"{options.images} images written in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        compare_loaders(Path(folder), min(options.images, 4_000))
        print(flush=True)
        for what in MEASURED:
            subprocess.run([sys.executable, __file__, "--measure", what, folder], check=True)


MEASURED = {"reads an epoch": read_epoch, "trains an epoch at 64 pixels": train_epoch}

if __name__ == "__main__":
    main()
