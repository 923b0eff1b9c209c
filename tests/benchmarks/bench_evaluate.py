"""Measures how fast a checkpoint is evaluated: ``analysis.evaluate`` and the measures against the bare forward pass.

    python tests/benchmarks/bench_evaluate.py [--backbone resnet18] [--images 2000] [--rounds 5]

Ours is what the commands of the analysis do with images: ``predict``, the whole evaluation of
``analysis/occlusion.py`` with the masks in each order, and the scores of ``analysis/uncertainty.py`` from two mixtures
of each image, by either mixer. The other is the network on as many images, in batches of the same size, and nothing
else. They run in turn; the table shows the median ratio. Expected: at most 1.15. On a CPU the time is that of this
process on its cores, which other programs hardly disturb. Images are noise: what they show changes
no time. The last row reads photographs of 224 pixels from JPEG files while a ResNet-18 evaluates them; the time is by
the clock there, because other processes decode.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from recording import arguments, in_turn, ratios, record
from torch import Generator, Tensor

from analysis.networks.evaluate import Result, all_of, batches
from analysis.networks.sample_scores import MIXTURES, score
from analysis.occlusion import measure
from tests.benchmarks.bench_streaming import CLASSES, CONFIG, WORKERS, generate
from trainables.backbones.backbone import Network
from trainables.config import parse
from trainables.datasets.dataset import Split
from trainables.datasets.opening import open_dataset
from trainables.datasets.resident import Resident
from trainables.device.hardware import device
from trainables.methods import build_network
from trainables.robustness.classifier import predict
from trainables.robustness.occlusion import SHARES

BATCH = 500
DRAWS = 1
MIXINGS = 2  # mixtures of each image; each takes as long as the first
OURS, BARE = "ours", "the forward pass"
PHOTOGRAPHS = 240
IN_MEMORY = 24  # photographs in a batch, as many as the commands take


@torch.no_grad()
def forward(network: Network, images: Tensor, passes: int) -> None:
    """Run the network and nothing else."""
    for _ in range(passes):
        for batch in images.split(BATCH):
            network(batch)


def main() -> None:
    given = arguments(__doc__, backbone="resnet20", images=2000, rounds=5).parse_args()

    config = parse({"dataset": "cifar10", "backbone": given.backbone})
    network = build_network(config).to(device()).eval()
    pixels = torch.randint(256, (given.images, 3, 32, 32), dtype=torch.uint8, generator=Generator().manual_seed(0))
    source = Resident(Split(pixels, torch.arange(given.images) % 10), device(), augment=None)
    images, _ = all_of(source, config)

    def occlusion(order: str) -> Result:
        return measure(network, source, config, {"fill": "mean", "order": order, "draws": DRAWS})

    def scores(mixture: str) -> object:
        return score(network, batches(source, config), device(), mixings=MIXINGS, mixture=mixture)

    ways: dict[str, tuple[Callable[[], object], int]] = {
        "predict": (lambda: predict(network, images), 1),
        "occlusion, random patches": (lambda: occlusion("random"), len(SHARES) * DRAWS),
        "occlusion, salient patches first": (lambda: occlusion("salient"), len(SHARES) * DRAWS),
        **{f"uncertainty, {mixture}": (partial(scores, mixture), MIXINGS) for mixture in MIXTURES},
    }
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    forward(network, images, 1)
    print(f"Evaluation of {given.images} images of 32x32 by {given.backbone}, batches of {BATCH}, ", end="")
    print(f"{given.rounds} rounds\n")
    print("| measure | images a second | times the forward pass |\n| --- | ---: | ---: |")
    for name, (work, passes) in ways.items():
        steps = {OURS: work, BARE: partial(forward, network, images, passes)}
        print(row(name, passes * given.images, in_turn(steps, given.rounds, clock)))
    with tempfile.TemporaryDirectory(prefix="bench-evaluate-") as folder:
        print(row("photographs of 224 pixels from files", PHOTOGRAPHS, photographs(Path(folder), given.rounds)))


def row(name: str, images: int, seconds: Mapping[str, Sequence[float]]) -> str:
    """Return the line of a measure for which ``images`` went through the network in these seconds of every round."""
    ratio = record(f"{name}: evaluation / bare forward passes", ratios(seconds, OURS, BARE))
    return f"| {name} | {images / statistics.median(seconds[OURS]):.0f} | {ratio:.2f} |"


def photographs(root: Path, rounds: int) -> dict[str, list[float]]:
    """Return, by round, the seconds of evaluating images in files, and of as many that are in memory."""
    generate(root, CLASSES, test=PHOTOGRAPHS)
    config = parse({**CONFIG, "backbone": "resnet18_imagenet"})
    network = build_network(config).to(device()).eval()
    source = open_dataset(config, root, device(), workers=WORKERS).test
    assert source is not None  # evaluate is "test"

    @torch.no_grad()
    def evaluate() -> None:
        for images, _ in source.test_batches(IN_MEMORY):
            network(images)

    images = next(source.test_batches(IN_MEMORY))[0]

    evaluate()
    steps = {OURS: evaluate, BARE: partial(forward, network, images, PHOTOGRAPHS // IN_MEMORY)}
    return in_turn(steps, rounds)


if __name__ == "__main__":
    main()
