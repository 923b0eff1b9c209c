"""How fast a checkpoint is evaluated: ``analysis.evaluate`` and the measures against the bare forward pass.

    python tests/benchmarks/bench_evaluate.py [--backbone resnet18] [--images 2000] [--rounds 5]

Ours is what the commands of the analysis do with images: ``predict``, and the whole evaluation of
``analysis/occlusion.py`` with the masks in each order. The other is the network on as many images, in batches of the
same size, and nothing else. They run in turn; the table shows the median ratio. Expected: at most 1.15. On a CPU the
time is that of this process on its cores, which other programs hardly disturb. Images are noise: what they show changes
no time.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from analysis.networks.evaluate import Result
from analysis.occlusion import measure
from trainables.backbones.backbone import Network
from trainables.config import parse
from trainables.datasets import DATASETS
from trainables.hardware import device
from trainables.methods import build_network
from trainables.robustness.classifier import predict
from trainables.robustness.occlusion import SHARES

BATCH = 500
DRAWS = 1


@torch.no_grad()
def forward(network: Network, images: Tensor, passes: int) -> None:
    """Run the network and nothing else."""
    for _ in range(passes):
        for batch in images.split(BATCH):
            network(batch)


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds of one call, summed over the process's cores, or until a GPU has finished."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    start = clock()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start


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

    def occlusion(order: str) -> Result:
        return measure(network, images, labels, config, {"fill": "mean", "order": order, "draws": DRAWS})

    ways: dict[str, tuple[Callable[[], object], int]] = {
        "predict": (lambda: predict(network, images), 1),
        "occlusion, random patches": (lambda: occlusion("random"), len(SHARES) * DRAWS),
        "occlusion, salient patches first": (lambda: occlusion("salient"), len(SHARES) * DRAWS),
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
