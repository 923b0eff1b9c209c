"""Training images a second of every backbone, beside torchvision's own network of the same name.

    python tests/benchmarks/bench_backbones.py [--threads 1] [--rounds 3] [--device cpu] [--backbones resnet18,wrn28_8]

Prints a Markdown table: forward, backward and a step of SGD, channels_last, in float32 on a processor and in bfloat16
on a GPU; networks for small images on 32x32, the others on 224x224. In each round all candidates take their turn; the
speeds are those of the fastest round, and the ratio is the median of the rounds. torchvision's ResNets are given the
3x3 stem without pooling where ours has it, so that both compute the same. A network whose first step takes more than
10 s is not timed again. About 2 minutes on one thread for the small ones, ``--all`` adds the others.

Expected: as fast as torchvision's, within the noise, for the layers are the same; it is the price of cutting a network
into stages that is measured.
"""

import inspect
import sys
from collections.abc import Callable

import torch
from recording import arguments, in_turn, ratios, record, show
from torch import nn
from torchvision import models

from trainables.backbones import BACKBONES

CLASSES = 100
SMALL = [name for name in BACKBONES if list(BACKBONES).index(name) < list(BACKBONES).index("resnet18_imagenet")]
SAME = ("resnet18", "resnet34", "resnet50", "resnet101_imagenet", "mobilenet_v2", "efficientnet_b0", "convnext_tiny")
THEIRS = {  # torchvision's names
    **{name: name.removesuffix("_imagenet") for name in (*SAME, *(f"{name}_imagenet" for name in SAME[:3]))},
    **{"resnext50": "resnext50_32x4d", "resnext50_imagenet": "resnext50_32x4d"},
    **{"convnext_tiny_cifar": "convnext_tiny", "swin_tiny": "swin_t"},
}
SLOW = 10.0  # seconds of a first step
Step = Callable[[], None]


def main() -> None:
    parser = arguments(__doc__, threads=1, rounds=3, device="cpu")
    parser.add_argument("--batch", type=int, help="images a step (default: 8 on a processor, 100 on a GPU)")
    parser.add_argument("--backbones", help="comma-separated (default: those for small images)")
    parser.add_argument("--all", action="store_true", help="also those for images of 224 pixels")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = options.backbones.split(",") if options.backbones else list(BACKBONES) if options.all else SMALL
    batch = options.batch or (8 if options.device == "cpu" else 100)
    rows = []
    for name in names:
        sys.stderr.write(f"\r{name:24}")
        side, ratio = 32 if name in SMALL else 224, "–"
        steps = {"mixlab": step(ours(name, side), side, batch, options.device)}
        if name in THEIRS:
            steps["torchvision"] = step(theirs(name), side, batch, options.device)
        seconds = alternate(steps, options.rounds)
        rate = {who: f"{batch / min(spent):.1f}" for who, spent in seconds.items()}
        if "torchvision" in seconds:
            median = record(f"{name}: a step of torchvision's / ours", ratios(seconds, "torchvision", "mixlab"))
            ratio = f"{median:.2f}"
        rows.append((name, f"{side}x{side}", rate["mixlab"], rate.get("torchvision", "–"), ratio))
    sys.stderr.write("\r" + " " * 24 + "\r")
    title = f"Training images a second; batches of {batch}, {options.threads} threads, {options.device}"
    show(f"{title}, torch {torch.__version__}", ("backbone", "images", "mixlab", "torchvision", "ratio"), rows)


def ours(name: str, side: int) -> nn.Module:
    takes_size = "image_size" in inspect.signature(BACKBONES[name]).parameters
    return BACKBONES[name](num_classes=CLASSES, **({"image_size": side} if takes_size else {}))


def theirs(name: str) -> nn.Module:
    """Return torchvision's network with our stem, and without its drop-path, which ours lack by default."""
    network = models.get_model(THEIRS[name])
    for module in network.modules():
        if type(module).__name__ == "StochasticDepth":
            module.p = 0.0
    classifier = [key for key, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    place, _, last = classifier.rpartition(".")
    setattr(network.get_submodule(place), last, nn.Linear(network.get_submodule(classifier).in_features, CLASSES))
    if name == "convnext_tiny_cifar":
        network.features[0][0] = nn.Conv2d(3, 96, 3, padding=1)
    elif name in SMALL:
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    return network


def step(network: nn.Module, side: int, batch: int, device: str) -> Step:
    """Return a function that takes one step of training on the same noise."""
    network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    images = torch.rand(batch, 3, side, side, device=device).to(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=device) % CLASSES
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    kind = torch.device(device).type

    def once() -> None:
        with torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu"):
            loss = nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if kind == "cuda":
            torch.cuda.synchronize()

    return once


def alternate(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every step, all taking their turn in every round after a first one."""
    found = in_turn(steps, 1)
    return in_turn(steps, rounds) if max(map(max, found.values())) < SLOW else found


if __name__ == "__main__":
    main()
