"""Whole epochs of training with evaluation: ours against a plain PyTorch script and timm's parts, in turn.

    python tests/benchmarks/bench_epoch.py [--backbones resnet8,resnet20,resnet18] [--rounds 3]

All train the same network on images of noise, of CIFAR-10's size, by CutMix with SGD, batch 100, random crop and flip,
and then test it. Ours is the loop of a trial. The script has a ``DataLoader`` with 2 workers over PIL images and
torchvision's CutMix. timm's parts are its loader with 2 workers, ``Mixup``, optimiser and soft loss, with its own
random resized crop. Fewer images for ResNet-18. Three minutes on two cores. Expected: faster than either, the more so
the smaller the network: decoding workers take the processors from it. In both loaders the workers live on from one
epoch to the next.

On a GPU all train in bfloat16 on more images, ours with ``cuda_graph=true``, and the loaders have 8 workers.
"""

from collections.abc import Callable

import torch
from recording import arguments, in_turn, ratios, record, where
from timm.data import Mixup, create_loader
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.transforms import v2

from tests.benchmarks.bench_data import PILImages
from trainables.config import parse
from trainables.cost import noise_splits
from trainables.datasets.dataset import Split, Splits
from trainables.datasets.opening import open_splits
from trainables.device.hardware import device
from trainables.methods import build_network
from trainables.training import Run

BATCH, CLASSES = 100, 10
ON_GPU = torch.cuda.is_available()
WORKERS = 8 if ON_GPU else 2
IMAGES = {} if ON_GPU else {"resnet18": 300}  # for training; a fifth as many for testing, as in CIFAR-10
MANY = 10_000 if ON_GPU else 2000
KEPT = {"num_workers": WORKERS, "persistent_workers": True, "pin_memory": ON_GPU}
Epoch = Callable[[], object]


def ours(settings: dict[str, object], splits: Splits) -> Epoch:
    """Return an epoch of a trial, with its evaluation."""
    config = parse({**settings, "epochs": 1000})
    return Run(config, 0, open_splits(config, splits, device())).next_epoch


def evaluate(network: nn.Module, loader: DataLoader) -> float:
    network.eval()
    hits = torch.zeros((), dtype=torch.long, device=device())
    with torch.no_grad():
        for images, labels in loader:
            hits += (network(images.to(device())).argmax(1) == labels.to(device())).sum()
    return int(hits) / len(loader.dataset)


def epoch_of(
    network: nn.Module,
    train: DataLoader,
    mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    optimiser: torch.optim.Optimizer,
    loss: Callable[[Tensor, Tensor], Tensor],
    test: DataLoader,
) -> Epoch:
    """Return a function that trains an epoch and evaluates."""

    def epoch() -> None:
        network.train()
        for batch in train:
            images, targets = mix(*(part.to(device(), non_blocking=True) for part in batch))
            optimiser.zero_grad()
            with torch.autocast("cuda", torch.bfloat16, enabled=ON_GPU):
                batch_loss = loss(network(images), targets)
            batch_loss.backward()
            optimiser.step()
        with torch.autocast("cuda", torch.bfloat16, enabled=ON_GPU):
            evaluate(network, test)

    return epoch


def script(network: nn.Module, splits: Splits) -> Epoch:
    """Return an epoch as one would write it by hand."""
    plain = PILImages(splits.test)
    plain.transform = transforms.ToTensor()
    mix = v2.CutMix(num_classes=CLASSES)
    train = DataLoader(PILImages(splits.train), BATCH, shuffle=True, **KEPT)
    test = DataLoader(plain, 500, **KEPT)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    return epoch_of(network, train, mix, optimiser, cross_entropy, test)


def timms(network: nn.Module, splits: Splits) -> Epoch:
    """Return an epoch of timm's parts, put together as in its training script."""

    def loader(split: Split, training: bool) -> DataLoader:
        shape = {"input_size": 32, "batch_size": BATCH, "crop_pct": 1.0, "device": device(), "use_prefetcher": False}
        normalise = {"mean": (0.0,) * 3, "std": (1.0,) * 3}  # the network normalises its input itself
        return create_loader(PILImages(split), is_training=training, **shape, **normalise, **KEPT)

    train, test = loader(splits.train, True), loader(splits.test, False)
    mix = Mixup(mixup_alpha=0.0, cutmix_alpha=1.0, label_smoothing=0.0, num_classes=CLASSES)
    optimiser = create_optimizer_v2(network, opt="momentum", lr=0.1, weight_decay=1e-4, momentum=0.9)
    return epoch_of(network, train, mix, optimiser, SoftTargetCrossEntropy(), test)


def main() -> None:
    given = arguments(__doc__, backbones="resnet8,resnet20,resnet18", rounds=3).parse_args()
    print(f"Epochs with evaluation, CutMix, batch {BATCH}, {where()}, {given.rounds} rounds\n")
    print("| backbone | images | ours, s | a plain script | timm's parts |\n| --- | ---: | ---: | ---: | ---: |")
    for backbone in given.backbones.split(","):
        count = IMAGES.get(backbone, MANY)
        settings = {"dataset": "cifar10", "backbone": backbone, "mixer": "cutmix", "batch_size": BATCH}
        settings["cuda_graph"] = ON_GPU
        config = parse(settings)
        noise = noise_splits(config, count)
        splits = noise._replace(test=noise.test.take(slice(count // 5)))
        script_network, timms_network = (build_network(config).to(device()) for _ in range(2))
        epochs = {
            "ours": ours(settings, splits),
            "a plain script": script(script_network, splits),
            "timm's parts": timms(timms_network, splits),
        }
        seconds = in_turn(epochs, given.rounds, warm_up=True)
        spent = record(f"ours: an epoch of {backbone}, {count} images", seconds["ours"], "s")
        times = [
            record(f"an epoch of {backbone}, {other} / ours", ratios(seconds, other, "ours"))
            for other in ("a plain script", "timm's parts")
        ]
        print(f"| {backbone} | {count} | {spent:.1f} | {times[0]:.2f} times | {times[1]:.2f} times |", flush=True)


if __name__ == "__main__":
    main()
