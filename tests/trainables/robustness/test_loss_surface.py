"""The Hessian of the loss, against an exact one, and the loss around a network in directions as long as its filters."""

from functools import partial
from itertools import product
from math import sqrt

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, hessian
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from tests.trainables.seeded import seeded
from trainables.robustness.hessian import gaussian_direction, hessian_product, hutchinson_trace, leading_eigenpairs
from trainables.robustness.landscape import Direction, loss_at, random_direction, sharpness

EXACTLY = {"iterations": 5000, "tolerance": 0.0}


def symmetric(values: list[float]) -> Tensor:
    """Return a matrix with given eigenvalues, whose eigenvectors are random."""
    turn = torch.linalg.qr(torch.randn(len(values), len(values), generator=seeded(), dtype=torch.float64)).Q
    return turn @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ turn.T


def times(matrix: Tensor, direction: Direction) -> Direction:
    """Return the product, for a direction in two parts, of 2 and of all other numbers."""
    moved = matrix @ torch.cat((direction["first"], direction["second"]))
    return {"first": moved[:2], "second": moved[2:]}


def start(size: int, rng: Generator) -> Direction:
    drawn = torch.randn(size, generator=rng, dtype=torch.float64)
    return {"first": drawn[:2], "second": drawn[2:]}


@pytest.mark.parametrize("values", [[5.0, 3.0, 1.0, 0.5], [-7.0, 4.0, 2.0, 0.0, 1.0], [2.0, 0.0, 0.0], [0.0] * 3])
def test_the_leading_directions_of_a_quadratic_are_its_eigenvectors_and_of_rank_one_nothing_else_is_left(values):
    matrix = symmetric(values)
    pairs = leading_eigenpairs(partial(times, matrix), partial(start, len(values), seeded(1)), **EXACTLY)
    largest = sorted(values, key=abs, reverse=True)[:2]
    assert [pair.value for pair in pairs] == pytest.approx(largest, abs=1e-12)
    for pair in pairs[: sum(value != 0 for value in largest)]:
        vector = torch.cat((pair.direction["first"], pair.direction["second"]))
        assert float(vector.norm()) == pytest.approx(1)
        torch.testing.assert_close(matrix @ vector, pair.value * vector, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("scale", "options", "products", "value"),
    [
        pytest.param(lambda asked: 1, {"tolerance": 0.03}, 4, 3.9993, id="the last value changes by less than 3 %"),
        pytest.param(lambda asked: -1, {"tolerance": 0.03}, 4, -3.9993, id="and so does a negative one"),
        pytest.param(lambda asked: 1, {}, 5, 3.99995, id="by default, as in PyHessian, by a thousandth"),
        pytest.param(lambda asked: asked, {}, 100, 400, id="or there are a hundred products"),
    ],
)
def test_the_iteration_stops_when_the_eigenvalue_changes_little_of_itself(scale, options, products, value):
    """From (1, 1) the values of a matrix with the eigenvalues 4 and 1 are 2.5, 3.8235, 3.9883, 3.9993 and 3.99995."""
    asked = []

    def multiplied(direction):
        asked.append(direction)
        return {"x": scale(len(asked)) * torch.tensor([4.0, 1.0], dtype=torch.float64) * direction["x"]}

    (pair,) = leading_eigenpairs(multiplied, lambda: {"x": torch.ones(2, dtype=torch.float64)}, 1, **options)
    assert len(asked) == products
    assert pair.value == pytest.approx(value, abs=1e-4)


def test_every_draw_of_a_diagonal_matrix_has_its_trace():
    matrix = torch.diag(torch.tensor([3.0, -1.0, 0.25, 2.0], dtype=torch.float64))
    trace, error = hutchinson_trace(partial(times, matrix), start(4, Generator()), seeded(), 5)
    assert (trace, error) == (pytest.approx(4.25), pytest.approx(0, abs=1e-12))


def test_the_error_of_a_trace_is_that_of_the_mean_of_the_draws():
    """The trace of this matrix is 0 and every draw gives 2 or -2, so that their mean tells their deviation."""
    matrix, draws = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64), 6
    trace, error = hutchinson_trace(partial(times, matrix), start(3, Generator()), seeded(), draws)
    assert trace == pytest.approx(0)
    assert error == pytest.approx(sqrt((4 - trace**2) / (draws - 1)))


class Attention(nn.Module):
    """Lets each position of a map (B, C, H, W) attend to all others, and has a parameter that changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, maps: Tensor) -> Tensor:
        tokens = maps.flatten(2).mT[:, None].contiguous()  # of one head, by the usual kernel
        return scaled_dot_product_attention(tokens, tokens, tokens).mT.reshape(maps.shape)


def network() -> nn.Module:
    torch.manual_seed(1)
    layers = (nn.Conv2d(3, 2, 3, stride=4), nn.BatchNorm2d(2), Attention(), nn.Flatten(), nn.Linear(2 * 4 * 3, 3))
    return nn.Sequential(*layers).double()


def data() -> list[tuple[Tensor, Tensor]]:
    rng = seeded(2)
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

    with sdpa_kernel(SDPBackend.MATH):
        return hessian(loss)(torch.cat([p.detach().flatten() for p in net.parameters()]))


def flat(direction: Direction) -> Tensor:
    return torch.cat([change.flatten() for change in direction.values()])


def test_the_product_is_that_with_the_exact_hessian_and_leaves_the_network_alone(exact):
    net = network().train()
    direction = gaussian_direction(net, seeded(3))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.testing.assert_close(flat(hessian_product(net, data(), 7, direction)), exact @ flat(direction))
    assert net.training
    assert all(p.grad is None for p in net.parameters())
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("draw", [gaussian_direction, random_direction])
def test_a_direction_is_the_same_for_a_seed(draw):
    one, two = (draw(network(), seeded()) for _ in range(2))
    assert torch.equal(flat(one), flat(two))


def test_noise_moves_every_parameter_alike():
    net = network()
    noise = gaussian_direction(net, seeded())
    assert set(noise) == {name for name, _ in net.named_parameters()}  # biases and batch norm too
    assert float(flat(noise).std()) == pytest.approx(1, abs=4 / sqrt(2 * len(flat(noise))))


def test_every_filter_of_a_direction_is_as_long_as_the_networks_own():
    net = network()
    direction = random_direction(net, seeded())
    assert set(direction) == {"0.weight", "4.weight"}  # neither biases nor batch norm
    for name, change in direction.items():
        own = dict(net.named_parameters())[name].detach().flatten(1).norm(dim=1)
        torch.testing.assert_close(change.flatten(1).norm(dim=1), own)


def test_the_loss_is_that_of_the_moved_network_and_nothing_stays_moved():
    net, batches, grid = network(), data(), (-0.5, 0.0, 1.0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    directions = [random_direction(net, seeded(seed)) for seed in (0, 1)]
    plane = loss_at(net, batches, [(directions, steps) for steps in product(grid, repeat=2)]).view(3, 3)
    line = loss_at(net, batches, [(directions[:1], (step,)) for step in grid])
    assert torch.equal(plane[:, 1], line)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    by_hand = network().eval()
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    with torch.no_grad():
        for name, parameter in by_hand.named_parameters():
            if name in directions[0]:
                parameter += -0.5 * directions[0][name] + 1.0 * directions[1][name]
        expected = cross_entropy(by_hand(images), labels)
    assert plane[0, 2].item() == pytest.approx(expected.item(), rel=1e-6)


def test_sharpness_by_hand():
    grid = (-1.0, -0.5, 0.0, 0.5, 1.0)
    line = torch.tensor([9.0, 2.0, 1.0, 3.0, 9.0], dtype=torch.float64)
    assert sharpness(line, grid) == pytest.approx((1 + 0 + 2) / 3)
