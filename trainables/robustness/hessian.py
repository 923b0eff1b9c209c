"""The Hessian of a trained network's loss: its leading eigenvalues and directions, and its trace.

Z. Yao, A. Gholami, K. Keutzer and M. Mahoney, "PyHessian: neural networks through the lens of the Hessian", IEEE Big
Data 2020, arXiv:1912.07145: power iteration with deflation, and Hutchinson's estimate of the trace. The matrix is never
formed, only its product with a direction. The loss is the mean cross-entropy in evaluation mode, as a function of every
parameter.

Shape letters: B batch, C channels, H height, W width, P parameters.
"""

from collections.abc import Callable, Iterable, Sequence
from math import sqrt
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from trainables.backbones.modes import evaluation_mode
from trainables.robustness.landscape import Direction

Product = Callable[[Direction], Direction]  # the Hessian times a direction
ITERATIONS = 100  # at most, for an eigenvalue; as in PyHessian
TOLERANCE = 1e-3  # the relative change of the eigenvalue at which it counts as found; as in PyHessian


class Eigenpair(NamedTuple):
    """An eigenvalue and its direction, of length 1."""

    value: float
    direction: Direction


def hessian_product(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], count: int, direction: Direction
) -> Direction:
    """Return the Hessian of the mean cross-entropy times a direction, a tensor for each parameter that counts.

    The batches, of ``count`` images (B, C, H, W) in [0, 1] and labels (B,) int64 in all, are read once. The network
    runs in evaluation mode, and its parameters get no gradient.
    """
    parameters = [dict(network.named_parameters())[name] for name in direction]
    total = {name: torch.zeros_like(change) for name, change in direction.items()}
    # The faster kernels of attention cannot be differentiated twice.
    with evaluation_mode(network), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        for images, labels in batches:
            loss = cross_entropy(network(images).double(), labels, reduction="sum") / count
            gradient = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
            along = sum(((g * v).sum() for g, v in zip(gradient, direction.values(), strict=True)), loss.new_zeros(()))
            products = torch.autograd.grad(along, parameters, materialize_grads=True)
            for name, product in zip(direction, products, strict=True):
                total[name] += product
    return total


def gaussian_direction(network: nn.Module, rng: Generator) -> Direction:
    """Return standard normal numbers for every parameter; times sigma, it is noise of that standard deviation.

    Nothing is normalised: K-image mixing (Jeong et al. 2023, Figure 3b) perturbs all parameters alike, unlike
    ``landscape.random_direction``, so that networks with small weights are moved further, relative to their weights.
    The generator is on the CPU; the same seed gives networks of one architecture the same noise.
    """
    return {name: torch.randn(p.shape, generator=rng).to(p) for name, p in network.named_parameters()}


def leading_eigenpairs(
    product: Product,
    start: Callable[[], Direction],
    count: int = 2,
    *,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
) -> list[Eigenpair]:
    """Return the ``count`` eigenpairs of the largest absolute values, by power iteration, orthogonal to each other.

    The iteration for a pair begins at a direction that ``start`` draws, and stops when the relative change of the
    eigenvalue is below ``tolerance``.
    """
    found: list[Eigenpair] = []
    for _ in range(count):
        direction, value = _unit(_without(start(), found)), float("inf")
        for _ in range(iterations):
            turned = _without(product(direction), found)
            before, value = value, _dot(turned, direction)
            if _dot(turned, turned) == 0:  # the rest of the matrix is zero
                break
            direction = _unit(turned)
            if abs(value - before) <= tolerance * abs(value):
                break
        found.append(Eigenpair(value, direction))
    return found


def hutchinson_trace(product: Product, like: Direction, rng: Generator, draws: int) -> tuple[float, float]:
    """Return the trace, the mean of v'Hv over at least 2 random v of +1 and -1, and the standard error of that mean.

    The names and shapes of v are those of the direction ``like``; the generator is on the CPU.
    """
    values = []
    for _ in range(draws):
        signs = {
            name: (2 * torch.randint(2, v.shape, generator=rng, dtype=torch.float32) - 1).to(v)
            for name, v in like.items()
        }
        values.append(_dot(product(signs), signs))
    of_draws = torch.tensor(values, dtype=torch.float64)
    return float(of_draws.mean()), float(of_draws.std() / sqrt(draws))


def _dot(one: Direction, other: Direction) -> float:
    return float(sum((one[name].double() * other[name].double()).sum() for name in one))


def _unit(direction: Direction) -> Direction:
    length = sqrt(_dot(direction, direction))
    return {name: change / length for name, change in direction.items()}


def _without(direction: Direction, found: Sequence[Eigenpair]) -> Direction:
    """Return the part of a direction that is orthogonal to those that were found."""
    for pair in found:
        along = _dot(direction, pair.direction)
        direction = {name: change - along * pair.direction[name] for name, change in direction.items()}
    return direction
