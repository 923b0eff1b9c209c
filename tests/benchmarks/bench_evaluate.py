"""How fast a checkpoint is evaluated: ``analysis.evaluate`` and the measures against the bare forward pass.

    python tests/benchmarks/bench_evaluate.py [--backbone resnet18] [--images 2000] [--rounds 5]

Ours is what the commands of the analysis do with an image, ``predict`` and the occlusion curve of two shares; the
other is the network on the same batches and nothing else. They run in turn; the table shows the median ratio. Expected:
at most 1.15 on an idle machine. Images are noise: what they show changes no time.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from trainables.backbones.backbone import Network
from trainables.config import parse
from trainables.datasets import DATASETS
from trainables.methods import build_network
from trainables.robustness.classifier import predict
from trainables.robustness.occlusion import occlusion_accuracy
from trainables.training import device

BATCH = 500
SHARES = (0, 50)


@torch.no_grad()
def forward(network: Network, images: Tensor, passes: int) -> None:
    """The network and nothing else."""
    for _ in range(passes):
        for batch in images.split(BATCH):
            network(batch)


def seconds(work: Callable[[], object]) -> float:
    """Of one call; a GPU has finished its work."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--backbone", default="resnet20")
    options.add_argument("--images", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()

    config = parse({"dataset": "cifar10", "backbone": given.backbone})
    network = build_network(config, DATASETS["cifar10"]).to(device()).eval()
    images = torch.rand(given.images, 3, 32, 32, generator=Generator().manual_seed(0)).to(device())
    labels = torch.arange(given.images, device=device()) % 10

    def occlusion() -> Tensor:
        return occlusion_accuracy(network, images, labels, Generator().manual_seed(0), shares=SHARES, draws=1)

    ways: dict[str, tuple[Callable[[], object], int]] = {
        "predict": (lambda: predict(network, images), 1),
        "occlusion, random patches": (occlusion, len(SHARES)),
    }
    forward(network, images, 1)
    print(
        f"Evaluation of {given.images} images of 32x32 by {given.backbone}, batches of {BATCH}, {given.rounds} rounds\n"
    )
    print("| measure | images a second | times the forward pass |\n| --- | ---: | ---: |")
    for name, (work, passes) in ways.items():
        pairs = [(seconds(work), seconds(lambda: forward(network, images, passes))) for _ in range(given.rounds)]  # noqa: B023
        rate = passes * given.images / statistics.median(ours for ours, _ in pairs)
        print(f"| {name} | {rate:.0f} | {statistics.median(ours / bare for ours, bare in pairs):.2f} |")


if __name__ == "__main__":
    main()
