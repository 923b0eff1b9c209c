"""The networks of PC-DARTS: published sizes, operations, and the supernet and its genotype by hand."""

import json

import pytest
import torch
from torch import Generator, nn

from trainables.darts.found_network import Cell, DartsNetwork, flops, parameters
from trainables.darts.genotype import NODES, PC_DARTS_CIFAR, PC_DARTS_IMAGENET, Genotype
from trainables.darts.operations import OPERATIONS, HalvedMap
from trainables.darts.search_config import DEFAULTS
from trainables.darts.supernet import EDGES, MixedEdge, SuperNet
from trainables.network_shapes import Undrawn, Unnormalised


@pytest.mark.parametrize(
    ("genotype", "published", "inputs"),
    [
        (PC_DARTS_CIFAR, (5.3, 586), "10 01 01 01, 10 12 03 12"),
        (PC_DARTS_IMAGENET, (5.3, 597), "10 01 13 14, 01 21 21 03"),
    ],
)
def test_the_published_genotypes_have_the_published_sizes_on_imagenet(genotype, published, inputs):
    """Xu et al., Table 2; K-image mixing, Table 6: millions of parameters and of operations."""
    states = [[str(state) for _, state in cell] for cell in genotype]
    assert ", ".join(" ".join(map("".join, zip(of[::2], of[1::2], strict=True))) for of in states) == inputs
    with torch.device("meta"), Undrawn(), Unnormalised():
        network = DartsNetwork(genotype, 48, 14, 1000, large=True, auxiliary=False)
        assert (round(parameters(network) / 1e6, 1), round(flops(network, (3, 224, 224)) / 1e6)) == published


@pytest.mark.parametrize(
    ("large", "side", "width", "classes", "norms"),
    [(False, 32, 4 * 16, 10, 2 * 128 + 2 * 768), (True, 224, 4 * 192, 1000, 2 * 128)],  # a norm less for large images
)
def test_the_second_head_is_that_of_darts_and_there_in_training_alone(large, side, width, classes, norms):
    """Its map has 4 x 16 channels of small images, whose size it keeps, and 4 x 192 of large ones."""
    with torch.device("meta"), Undrawn(), Unnormalised():
        network = DartsNetwork(PC_DARTS_IMAGENET, width // 16, 5 if large else 3, classes, large=large, auxiliary=True)
        images = torch.zeros(2, 3, side, side)
        logits, second = network(images)
        assert logits.shape == second.shape == (2, classes)
        assert network.eval()(images)[1] is None
    weights = width * 128 + 128 * 768 * 4 + (768 + 1) * classes
    assert sum(p.numel() for p in network.auxiliary.parameters()) == weights + norms
    assert network.auxiliary[1].stride == (2 if large else 3)


def test_the_published_network_has_the_published_size_on_cifar10_without_the_second_head():
    with torch.device("meta"), Undrawn():
        published = DartsNetwork(PC_DARTS_CIFAR, 36, 20, 10, auxiliary=True)
    assert round(parameters(published) / 1e6, 1) == 3.6
    assert published.stem[0].out_channels == 3 * 36


@pytest.mark.parametrize(
    ("name", "side", "pixels"),
    [
        ("skip_connect", 1, 1),
        ("avg_pool_3x3", 3, 9),
        ("sep_conv_3x3", 5, 25),
        ("sep_conv_5x5", 9, 81),
        ("dil_conv_3x3", 5, 9),  # every second pixel of a side
        ("dil_conv_5x5", 9, 25),
    ],
)
def test_an_operation_sees_the_pixels_that_its_name_says(name, side, pixels):
    """Separable convolutions come in twos. The weights are ones, so that no ReLU hides a pixel."""
    operation = OPERATIONS[name](2, 1, True).eval()
    for module in operation.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    maps = torch.rand(1, 2, 15, 15, requires_grad=True)
    operation(maps)[0, 0, 7, 7].backward()
    seen = maps.grad[0].any(dim=0)
    assert seen.sum() == pixels
    for across in (0, 1):
        places = seen.any(dim=across).nonzero()
        assert places.max() - places.min() + 1 == side


def test_a_map_is_halved_to_its_even_and_its_odd_pixels():
    halved = HalvedMap(2, 3, True).double().eval()
    for convolution in (halved.even, halved.odd):
        nn.init.ones_(convolution.weight)
    maps = torch.randn(2, 2, 16, 12, dtype=torch.float64, generator=Generator().manual_seed(0))
    seen = maps.relu().sum(dim=1) / (1 + 1e-5) ** 0.5  # a new norm has a variance of 1
    odd = seen[:, 1::2, 1::2]
    torch.testing.assert_close(halved(maps), torch.stack((seen[:, ::2, ::2], odd, odd), dim=1))


def test_the_average_at_the_border_is_that_of_the_pixels_inside():
    maps = torch.ones(1, 2, 16, 12)
    assert torch.equal(OPERATIONS["avg_pool_3x3"](2, 1, True)(maps), maps)


def test_the_norms_of_a_found_network_scale_and_those_of_the_search_do_not():
    found = DartsNetwork(PC_DARTS_CIFAR, 4, 3, 10, auxiliary=False)
    searched = SuperNet(OPERATIONS, 4, 3, 10, 2, Generator())
    for cells, affine in ((found.cells, True), (searched.cells, False)):
        assert {norm.affine for norm in cells.modules() if isinstance(norm, nn.BatchNorm2d)} == {affine}
    convolutions = [m for network in (found, searched) for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert not any(convolution.bias is not None for convolution in convolutions)  # each has a norm after it


def test_a_node_adds_its_two_operations_of_which_all_but_identities_may_be_dropped():
    edges = (("skip_connect", 0), ("skip_connect", 1), *(("skip_connect", 0), ("sep_conv_3x3", 1)) * 3)
    cell = Cell(edges, (6, 6, 6), halves=False, after_halving=False)
    maps = torch.rand(2, 2, 6, 16, 12, generator=Generator().manual_seed(0))
    first, second = cell.first(maps[0]), cell.second(maps[1])
    dropped = cell(*maps, 1.0).unflatten(1, (4, 6))
    torch.testing.assert_close(dropped[:, 0], first + second)
    for node in range(1, 4):
        torch.testing.assert_close(dropped[:, node], first)
    kept = cell(*maps, 0.0).unflatten(1, (4, 6))
    torch.testing.assert_close(kept[:, 1], first + cell.operations[3](second))
    assert not torch.equal(cell.eval()(*maps, 1.0).unflatten(1, (4, 6))[:, 1], cell.first(maps[0]))


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_keeps_the_width_and_divides_the_map(name):
    assert name in DEFAULTS.operations  # a search tries it
    for stride in (1, 2):
        assert OPERATIONS[name](6, stride, True)(torch.rand(2, 6, 16, 12)).shape == (2, 6, 16 // stride, 12 // stride)


def test_an_edge_passes_the_other_channels_and_shuffles_them():
    edge = MixedEdge(("none", "skip_connect"), width=8, stride=1, partial=4)
    maps = torch.arange(8.0).view(1, 8, 1, 1).expand(1, 8, 16, 12)
    out = edge(maps, torch.tensor([0.25, 0.75]))[0, :, 0, 0]
    # Channels 0 and 1 become three quarters of themselves; four groups of two are then read across.
    assert out.tolist() == [0.0, 2.0, 4.0, 6.0, 0.75, 3.0, 5.0, 7.0]


def test_an_edge_that_halves_pools_the_channels_that_pass_and_one_of_all_channels_passes_none():
    maps = torch.rand(2, 8, 16, 12, generator=Generator().manual_seed(0))
    out = MixedEdge(("none",), width=8, stride=2, partial=4)(maps, torch.ones(1))
    greatest = maps.unflatten(2, (8, 2)).unflatten(4, (6, 2)).amax(dim=(3, 5))
    expected = torch.cat((torch.zeros(2, 2, 8, 6), greatest[:, 2:]), dim=1)
    assert torch.equal(out, expected[:, [0, 2, 4, 6, 1, 3, 5, 7]])
    assert torch.equal(MixedEdge(("skip_connect",), width=8, stride=1, partial=1)(maps, torch.ones(1)), maps)
    assert MixedEdge(("none",), width=8, stride=2, partial=1)(maps, torch.ones(1)).shape == (2, 8, 8, 6)
    pools, others = (MixedEdge((name,), 8, 1, 2).operations[0] for name in ("max_pool_3x3", "skip_connect"))
    assert isinstance(pools[-1], nn.BatchNorm2d)  # for what a pooling makes large; a convolution has its own
    assert isinstance(others, nn.Identity)


def test_the_supernet_by_loops():
    names = ("none", "skip_connect", "avg_pool_3x3")
    net = SuperNet(names, 4, 3, 10, 2, Generator().manual_seed(0)).double()
    drawn = torch.cat([parameter.flatten() for parameter in net.architecture()])
    assert drawn.numel() == 2 * 14 * (3 + 1)
    assert drawn.std().item() == pytest.approx(1e-3, rel=0.25)
    assert {id(p) for p in net.weights()} == {id(p) for p in net.parameters()} - {id(p) for p in net.architecture()}
    assert net.stem[0].out_channels == 3 * 4
    for parameter in net.architecture():
        nn.init.normal_(parameter, generator=Generator().manual_seed(parameter.numel()))
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64, generator=Generator().manual_seed(1))
    before_last = last = net.stem(images)
    assert [cell.halves for cell in net.cells] == [False, True, True]  # at a third and at two thirds
    for cell in net.cells:
        kind = int(cell.halves)
        states, edge = [cell.first(before_last), cell.second(last)], 0
        for node in range(4):
            into = net.beta[kind][edge : edge + node + 2].softmax(dim=0)
            total = 0
            for state in range(node + 2):
                assert cell.edges[edge].stride == (2 if cell.halves and state < 2 else 1)
                of_operations = net.alpha[kind][edge].softmax(dim=0)
                total = total + into[state] * cell.edges[edge](states[state], of_operations)
                edge += 1
            states.append(total)
        before_last, last = last, torch.cat(states[2:], dim=1)
    assert last.shape == (2, 4 * 16, 8, 8)
    torch.testing.assert_close(net(images), net.head(last.mean(dim=(2, 3))))
    without = SuperNet(names[1:], 4, 3, 10, 2, Generator()).genotype()
    assert {name for cell in without for name, _ in cell} <= set(names[1:])


def test_the_genotype_is_the_strongest_operation_of_the_two_strongest_edges():
    net = SuperNet(("none", "skip_connect", "sep_conv_3x3"), 4, 3, 10, 4, Generator())
    for kind in range(2):
        nn.init.zeros_(net.alpha[kind])
        nn.init.zeros_(net.beta[kind])
    net.alpha[0].data[:, 0] = 5.0  # "none" is never chosen
    for edge, (node, state) in enumerate(EDGES):
        if state in (0, node):
            net.beta[0].data[edge] = 2.0 - 0.1 * state
        if state == 0:
            net.alpha[0].data[edge, 2] = 1.0
    found = net.genotype()
    assert found.normal[2:4] == (("sep_conv_3x3", 0), ("skip_connect", 1))
    assert [state for _, state in found.normal] == [0, 1, 0, 1, 0, 2, 0, 3]
    assert Genotype.of(json.loads(json.dumps(found._asdict()))) == found
    for kind in range(2):
        of_edges = net.of_edges(kind).detach()
        for node in range(NODES):
            assert float(sum(of_edges[e] for e, (to, _) in enumerate(EDGES) if to == node)) == pytest.approx(1.0)
