"""The loss around a trained network, along random directions that are scaled filter by filter.

H. Li et al., "Visualizing the loss landscape of neural nets", NeurIPS 2018, arXiv:1712.09913, Sections 3 and 4: a
random direction in which every filter has the length of the network's own filter, so that networks with weights of
different scales can be set side by side. Biases, and the weights and statistics of normalisation, stay where they are,
as in the authors' figures. One loss is the mean cross-entropy on the images given, in evaluation mode.

Shape letters: N images, C channels, H height, W width, S steps.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from trainables.backbones.modes import evaluation_mode
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
        direction[name] = drawn * (own / length).view(-1, *[1] * (parameter.ndim - 1))
    return direction


def moved(network: nn.Module, directions: Sequence[Direction], steps: Sequence[float]) -> Direction:
    """Return the network's parameters with ``steps`` times each direction added, by their names."""
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    for direction, step in zip(directions, steps, strict=True):
        for name, change in direction.items():
            parameters[name] = parameters[name].add(change, alpha=step)
    return parameters


def loss_at(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    moves: Sequence[tuple[Sequence[Direction], Sequence[float]]],
) -> Tensor:
    """Return the mean cross-entropy, in nats, (M,) float64, after each of M moves of the network; images are read once.

    A move has directions and the multiple of each. The network is evaluated in evaluation mode, and stays as it is.
    """
    total, count = torch.zeros(len(moves), dtype=torch.float64), 0
    with evaluation_mode(network):
        for images, labels in batches:
            count += len(labels)
            for place, move in enumerate(moves):
                at = partial(functional_call, network, moved(network, *move))
                total[place] += float(cross_entropy(predict(at, images).double(), labels, reduction="sum"))
    return total / count


def sharpness(losses: Tensor, grid: Sequence[float]) -> float:
    """Return the mean rise, in nats, of the losses (S,) on a line, within half the reach, over the loss at 0."""
    steps = torch.tensor(grid, dtype=torch.float64).abs()
    return float((losses[steps <= steps.max() / 2] - losses[grid.index(0.0)]).mean())
