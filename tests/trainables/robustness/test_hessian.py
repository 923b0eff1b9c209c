"""Power iteration and Hutchinson's estimate, against the exact Hessian of a quadratic and of a small network."""

from functools import partial
from math import sqrt

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, hessian
from torch.nn.functional import cross_entropy

from trainables.robustness.hessian import gaussian_direction, hessian_product, hutchinson_trace, leading_eigenpairs
from trainables.robustness.landscape import Direction

EXACTLY = {"iterations": 5000, "tolerance": 0.0}


def symmetric(values: list[float]) -> Tensor:
    """Return a matrix with given eigenvalues, whose eigenvectors are random."""
    rng = Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(len(values), len(values), generator=rng, dtype=torch.float64)).Q
    return turn @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ turn.T


def times(matrix: Tensor, direction: Direction) -> Direction:
    """Return the product, for a direction in two parts, of 2 and of all other numbers."""
    moved = matrix @ torch.cat((direction["first"], direction["second"]))
    return {"first": moved[:2], "second": moved[2:]}


def start(size: int, rng: Generator) -> Direction:
    drawn = torch.randn(size, generator=rng, dtype=torch.float64)
    return {"first": drawn[:2], "second": drawn[2:]}


@pytest.mark.parametrize("values", [[5.0, 3.0, 1.0, 0.5], [-7.0, 4.0, 2.0, 0.0, 1.0]])
def test_the_leading_directions_of_a_quadratic_are_its_eigenvectors(values):
    matrix = symmetric(values)
    pairs = leading_eigenpairs(
        partial(times, matrix), partial(start, len(values), Generator().manual_seed(1)), **EXACTLY
    )
    assert [pair.value for pair in pairs] == pytest.approx(sorted(values, key=abs, reverse=True)[:2])
    for pair in pairs:
        vector = torch.cat((pair.direction["first"], pair.direction["second"]))
        assert float(vector.norm()) == pytest.approx(1)
        torch.testing.assert_close(matrix @ vector, pair.value * vector, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_iteration_stops_when_the_eigenvalue_changes_little_of_itself(sign):
    """From (1, 1) the values are 2.5, 3.8235, 3.9883 and 3.9993, of which the last changes by less than 3 %."""
    asked = []

    def product(direction):
        asked.append(direction)
        return {"x": sign * torch.tensor([4.0, 1.0], dtype=torch.float64) * direction["x"]}

    ones = {"x": torch.ones(2, dtype=torch.float64)}
    (pair,) = leading_eigenpairs(product, lambda: ones, 1, tolerance=0.03)
    assert len(asked) == 4
    assert pair.value == pytest.approx(sign * 3.9993, abs=1e-4)


def test_by_default_the_iteration_stops_as_pyhessian_does_at_a_thousandth_or_after_a_hundred_products():
    asked = []

    def product(direction):
        asked.append(direction)
        return {"x": torch.tensor([4.0, 1.0], dtype=torch.float64) * direction["x"]}

    def growing(direction):
        asked.append(direction)
        return {"x": len(asked) * direction["x"]}

    for of, count in ((product, 5), (growing, 100)):  # the fifth value of the former is 3.99995
        asked.clear()
        leading_eigenpairs(of, lambda: {"x": torch.ones(2, dtype=torch.float64)}, 1)
        assert len(asked) == count


def test_nothing_is_left_of_a_matrix_of_rank_one():
    matrix = symmetric([2.0, 0.0, 0.0])
    pairs = leading_eigenpairs(partial(times, matrix), partial(start, 3, Generator().manual_seed(1)), **EXACTLY)
    assert [pair.value for pair in pairs] == pytest.approx([2.0, 0.0], abs=1e-12)


def test_every_draw_of_a_diagonal_matrix_has_its_trace():
    matrix = torch.diag(torch.tensor([3.0, -1.0, 0.25, 2.0], dtype=torch.float64))
    trace, error = hutchinson_trace(partial(times, matrix), start(4, Generator()), Generator().manual_seed(0), 5)
    assert (trace, error) == (pytest.approx(4.25), pytest.approx(0, abs=1e-12))


def test_the_error_of_a_trace_is_that_of_the_mean_of_the_draws():
    """The trace of this matrix is 0 and every draw gives 2 or -2, so that their mean tells their deviation."""
    matrix, draws = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64), 6
    trace, error = hutchinson_trace(partial(times, matrix), start(3, Generator()), Generator().manual_seed(0), draws)
    assert -2 < trace < 2
    assert error == pytest.approx(sqrt((4 - trace**2) / (draws - 1)))


def network() -> nn.Module:
    torch.manual_seed(1)
    layers = (nn.Conv2d(3, 2, 3, stride=4), nn.BatchNorm2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(2 * 4 * 3, 3))
    return nn.Sequential(*layers).double()


def data() -> list[tuple[Tensor, Tensor]]:
    rng = Generator().manual_seed(2)
    images, labels = torch.rand(7, 3, 16, 12, generator=rng, dtype=torch.float64), torch.arange(7) % 3
    return [(images[:4], labels[:4]), (images[4:], labels[4:])]


@pytest.fixture(scope="module")
def exact():
    """Return the whole Hessian of the small network's loss, (P, P), by forward-over-reverse differentiation."""
    net = network().eval()
    sizes = {name: p.shape for name, p in net.named_parameters()}
    images, labels = (torch.cat(parts) for parts in zip(*data(), strict=True))

    def loss(flat):
        parts = flat.split([size.numel() for size in sizes.values()])
        named = {name: part.view(size) for (name, size), part in zip(sizes.items(), parts, strict=True)}
        return cross_entropy(functional_call(net, named, images), labels)

    return hessian(loss)(torch.cat([p.detach().flatten() for p in net.parameters()]))


def flat(direction: Direction) -> Tensor:
    return torch.cat([change.flatten() for change in direction.values()])


def test_the_product_is_that_with_the_exact_hessian_and_leaves_the_network_alone(exact):
    net = network().train()
    direction = gaussian_direction(net, Generator().manual_seed(3))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.testing.assert_close(flat(hessian_product(net, data(), 7, direction)), exact @ flat(direction))
    assert net.training
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_noise_moves_every_parameter_alike_and_is_the_same_for_a_seed():
    net = network()
    one, two = (gaussian_direction(net, Generator().manual_seed(0)) for _ in range(2))
    assert set(one) == {name for name, _ in net.named_parameters()}  # biases and batch norm too
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert float(flat(one).std()) == pytest.approx(1, abs=4 / sqrt(2 * len(flat(one))))
