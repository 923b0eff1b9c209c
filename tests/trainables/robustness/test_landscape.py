"""Directions have the length of the network's filters, and the loss on the grid is that of the moved network."""

from itertools import product

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.trainables.robustness.test_hessian import data, network
from trainables.robustness.landscape import loss_at, random_direction, sharpness


def test_every_filter_of_a_direction_is_as_long_as_the_networks_own():
    net = network()
    direction = random_direction(net, torch.Generator().manual_seed(0))
    assert set(direction) == {"0.weight", "4.weight"}  # neither biases nor batch norm
    for name, change in direction.items():
        own = dict(net.named_parameters())[name].detach().flatten(1).norm(dim=1)
        torch.testing.assert_close(change.flatten(1).norm(dim=1), own)


def test_the_loss_is_that_of_the_moved_network_and_nothing_stays_moved():
    net, batches, grid = network(), data(), (-0.5, 0.0, 1.0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    directions = [random_direction(net, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
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
