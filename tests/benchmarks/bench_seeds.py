"""Measures what K seeds in one batched network would gain over K steps one after another.

    python tests/benchmarks/bench_seeds.py [--backbones resnet8,resnet20] [--seeds 1,2,4,8] [--batch 100] [--rounds 3]

Forward, backward and a step of SGD, for every seed on images of its own. ``vmap`` stacks the weights and maps the
network over them (``torch.func``); ``grouped`` is one network whose convolutions have K groups. Prints how many times
as fast as the separate steps each is. On a CPU its time is counted, on one thread; on a GPU every step is a CUDA graph,
of which processes that share the GPU cannot have more in a second than one process, with convolutions in TF32.
"""

import copy
import time
from collections.abc import Callable

import torch
from recording import arguments, in_turn, ratios, record, where
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from trainables.backbones import BACKBONES
from trainables.backbones.resnet import PaddedShortcut
from trainables.device.hardware import device

ON_GPU = torch.cuda.is_available()
Step = Callable[[], None]


def separate(networks: list[nn.Module], images: Tensor, labels: Tensor) -> Step:
    """Return a step of every network, one after another; images (K, B, 3, H, W), labels (K, B)."""
    own = [net.to(memory_format=torch.channels_last) for net in networks]
    optimisers = [torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, fused=ON_GPU) for net in own]
    batches = [batch.to(memory_format=torch.channels_last) for batch in images]

    def step() -> None:
        for net, optimiser, batch, of_batch in zip(own, optimisers, batches, labels, strict=True):
            optimiser.zero_grad(set_to_none=True)
            cross_entropy(net(batch), of_batch).backward()
            optimiser.step()

    return step


def mapped(networks: list[nn.Module], images: Tensor, labels: Tensor) -> Step:
    """Return the same step by vmap over the stacked weights."""
    weights, buffers = stack_module_state(networks)
    optimiser = torch.optim.SGD(weights.values(), lr=0.01, momentum=0.9, fused=ON_GPU)

    def loss(own: dict[str, Tensor], state: dict[str, Tensor], batch: Tensor, of_batch: Tensor) -> Tensor:
        return cross_entropy(functional_call(networks[0], (own, state), (batch,)), of_batch)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        vmap(loss)(weights, buffers, images, labels).sum().backward()
        optimiser.step()

    return step


def grouped(networks: list[nn.Module], images: Tensor, labels: Tensor) -> Step:
    """Return the step of one network that has K times the channels, in groups; its head is one matrix for each seed."""
    count = len(networks)
    net = in_groups(copy.deepcopy(networks[0]), count).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, fused=ON_GPU)
    batch = images.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)  # (B, 3K, H, W)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        logits = net(batch).unflatten(1, (count, -1)).transpose(0, 1)  # (K, B, L)
        (cross_entropy(logits.flatten(0, 1), labels.flatten()) * count).backward()
        optimiser.step()

    return step


class Heads(nn.Module):
    """A linear layer for each seed."""

    def __init__(self, head: nn.Linear, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(head.weight.detach().expand(count, -1, -1).clone())

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, K * L) of (B, K * D)."""
        own = features.unflatten(1, (len(self.weight), -1)).transpose(0, 1)
        return (own @ self.weight.mT).transpose(0, 1).flatten(1)


def in_groups(module: nn.Module, count: int) -> nn.Module:
    """Return the module with every layer of channels made ``count`` times as wide, in as many groups."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            wide = nn.Conv2d(
                child.in_channels * count, child.out_channels * count, child.kernel_size,
                child.stride, child.padding, groups=count, bias=child.bias is not None,
            )  # fmt: skip
            setattr(module, name, wide)
        elif isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.BatchNorm2d(child.num_features * count))
        elif isinstance(child, nn.Linear):
            setattr(module, name, Heads(child, count))
        elif isinstance(child, PaddedShortcut):  # as many channels, not all in their own group
            setattr(module, name, PaddedShortcut(child.stride, child.new_channels * count))
        else:
            in_groups(child, count)
    return module


def as_graph(step: Step) -> Step:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main() -> None:
    given = arguments(__doc__, backbones="resnet8,resnet20", seeds="1,2,4,8", batch=100, rounds=3).parse_args()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    clock = time.perf_counter if ON_GPU else time.process_time
    print(f"Seeds in one network, batch {given.batch} at 32x32, {where()}, {given.rounds} rounds\n")
    print("| backbone | seeds | times as fast by vmap | times as fast by groups |\n| --- | ---: | ---: | ---: |")
    for backbone in given.backbones.split(","):
        for count in (int(count) for count in given.seeds.split(",")):
            with torch.device(device()):
                networks = [BACKBONES[backbone](num_classes=10).train() for _ in range(count)]
                images = torch.rand(count, given.batch, 3, 32, 32)
                labels = torch.randint(10, (count, given.batch))
                steps = {way.__name__: way(networks, images, labels) for way in (grouped, mapped, separate)}
            if ON_GPU:
                steps = {name: as_graph(step) for name, step in steps.items()}
            seconds = in_turn(steps, given.rounds, clock, warm_up=True)
            one_network = f"{count} {'seed' if count == 1 else 'seeds'} of {backbone} in one network"
            gains = [record(f"{one_network}, {way}", ratios(seconds, "separate", way)) for way in ("mapped", "grouped")]
            print(f"| {backbone} | {count} | {gains[0]:.2f} | {gains[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
