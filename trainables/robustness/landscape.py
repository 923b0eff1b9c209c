"""The loss around a trained network, along random directions that are scaled filter by filter.

H. Li et al., "Visualizing the loss landscape of neural nets", NeurIPS 2018, arXiv:1712.09913, Sections 3 and 4: a
random direction in which every filter has the length of the network's own filter, so that networks with weights of
different scales can be set side by side. Biases, and the weights and statistics of normalisation, stay where they are,
as in the authors' figures. One loss is the mean cross-entropy on the images given, in evaluation mode.

Shape letters: N images, C channels, H height, W width, S steps.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.robustness.classifier import predict

Direction = dict[str, Tensor]  # a step for each parameter that moves, by its name

REACH = 1.0  # the extent of a picture: at 1 every filter has moved by its own length


def random_direction(network: nn.Module, rng: Generator) -> Direction:
    """Return a normal direction in which every filter has the length of the network's own (Li et al., Section 4).

    A filter makes one output: it is the weights ``parameter[i]``. Parameters of fewer than two axes do not move. The
    generator is on the CPU; the same seed gives networks of one architecture the same direction, except for its scale.
    """
    direction = {}
    for name, parameter in network.named_parameters():
        if parameter.ndim < 2:
            continue
        drawn = torch.randn(parameter.shape, generator=rng).to(parameter)
        own, length = (weights.flatten(1).norm(dim=1) for weights in (parameter.detach(), drawn))
        scale = own / length.clamp_min(1e-10)
        direction[name] = drawn * scale.view(-1, *[1] * (parameter.ndim - 1))
    return direction


@contextmanager
def moved(network: nn.Module, directions: Sequence[Direction], steps: Sequence[float]) -> Iterator[None]:
    """Add ``steps`` times each direction to the network inside the block; then restore it bit for bit."""
    parameters = dict(network.named_parameters())
    touched = {name for direction in directions for name in direction}
    before = {name: parameters[name].detach().clone() for name in touched}
    try:
        with torch.no_grad():
            for direction, step in zip(directions, steps, strict=True):
                for name, change in direction.items():
                    parameters[name].add_(change, alpha=step)
        yield
    finally:
        with torch.no_grad():
            for name, values in before.items():
                parameters[name].copy_(values)


def loss_at(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    moves: Sequence[tuple[Sequence[Direction], Sequence[float]]],
) -> Tensor:
    """Return the mean cross-entropy, in nats, (M,) float64, after each of M moves of the network; images are read once.

    A move has directions and the multiple of each. The network is evaluated in evaluation mode, and is then unchanged.
    """
    total, count = torch.zeros(len(moves), dtype=torch.float64), 0
    for images, labels in batches:
        count += len(labels)
        for place, (directions, steps) in enumerate(moves):
            with moved(network, directions, steps):
                total[place] += float(cross_entropy(predict(network, images).double(), labels, reduction="sum"))
    return total / count


def sharpness(losses: Tensor, grid: Sequence[float]) -> float:
    """Return the mean rise of the losses (S,) on a line over the network's own, at 0, within half the reach; nats."""
    steps = torch.tensor(grid, dtype=torch.float64).abs()
    return float((losses[steps <= steps.max() / 2] - losses[grid.index(0.0)]).mean())
