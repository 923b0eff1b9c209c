"""The labellings are nearly the best ones: against every labelling of tiny grids, and against minimum cuts."""

import itertools

import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow
from torch import Tensor

from trainables.mixers.grid_labelling import Energy, minimise
from trainables.mixers.puzzlemix import puzzle_energy


def random_energy(rows: int, columns: int, penalty: Tensor, seed: int, size: int = 8) -> Energy:
    rng = torch.Generator().manual_seed(seed)
    unary = torch.rand(size, rows, columns, len(penalty), generator=rng)
    vertical = torch.rand(size, rows - 1, columns, generator=rng) / 2
    return Energy(unary, vertical, torch.rand(size, rows, columns - 1, generator=rng) / 2, penalty)


def squares(labels: int) -> Tensor:
    share = torch.linspace(0, 1, labels)
    return (share[:, None] - share).square()


def potts(labels: int) -> Tensor:
    return 1 - torch.eye(labels)


def by_loops(energy: Energy, row: int, labels: Tensor) -> float:
    total = 0.0
    rows, columns = labels.shape
    for i, j in itertools.product(range(rows), range(columns)):
        total += energy.unary[row, i, j, labels[i, j]].item()
        if i + 1 < rows:
            total += (energy.vertical[row, i, j] * energy.penalty[labels[i, j], labels[i + 1, j]]).item()
        if j + 1 < columns:
            total += (energy.horizontal[row, i, j] * energy.penalty[labels[i, j], labels[i, j + 1]]).item()
    return total


def minimum_cut(energy: Energy, row: int) -> float:
    """Return the least energy of squared differences of labels, exactly: Ishikawa's graph, cut by scipy.

    x_ia = [label of cell i >= a], a = 1 .. L - 1. Then (l_i - l_j)^2 = sum_ab |x_ia - x_jb| + sum_a (2a - L)
    (x_ia + x_ja), every term of which an edge of the graph can carry.
    """
    digits = 10**7
    unary = energy.unary[row].double()
    rows, columns, count = unary.shape
    levels = count - 1
    weight = unary.diff(dim=-1)  # (M, N, L - 1) of x_ia
    node = torch.arange(rows * columns * levels).view(rows, columns, levels)
    source, sink = node.numel(), node.numel() + 1
    edges: dict[tuple[int, int], float] = {}
    for i, j in itertools.product(range(rows), range(columns)):
        for k in range(levels - 1):
            edges[int(node[i, j, k + 1]), int(node[i, j, k])] = 100.0  # a higher level implies the lower one
        for (y, x), pairs in (((i + 1, j), energy.vertical), ((i, j + 1), energy.horizontal)):
            if y == rows or x == columns:
                continue
            pair = pairs[row, i, j].double() / levels**2
            for a, b in itertools.product(range(levels), repeat=2):
                one, other = int(node[i, j, a]), int(node[y, x, b])
                edges[one, other] = edges[other, one] = pair.item()
            for a in range(levels):
                weight[i, j, a] += pair * (2 * (a + 1) - count)
                weight[y, x, a] += pair * (2 * (a + 1) - count)
    constant = unary[..., 0].sum().item()
    for at, value in zip(node.flatten().tolist(), weight.flatten().tolist(), strict=True):
        edges[(at, sink) if value >= 0 else (source, at)] = abs(value)
        constant += min(value, 0)
    start, end = zip(*edges, strict=True)
    capacity = [round(value * digits) for value in edges.values()]
    graph = csr_array((capacity, (start, end)), shape=(sink + 1, sink + 1), dtype="int32")
    return maximum_flow(graph, source, sink).flow_value / digits + constant


@pytest.mark.parametrize("penalty", [potts(3), squares(3)])
def test_the_energy_of_a_labelling_is_the_sum_of_its_costs(penalty):
    energy = random_energy(3, 2, penalty, seed=0)
    labels = torch.randint(3, (8, 3, 2), generator=torch.Generator().manual_seed(1))
    wanted = torch.tensor([by_loops(energy, row, labels[row]) for row in range(8)])
    torch.testing.assert_close(energy.of(labels), wanted)


@pytest.mark.parametrize(("rows", "columns", "penalty"), [(3, 3, squares(2)), (2, 3, squares(3)), (2, 3, potts(4))])
def test_tiny_grids_against_every_labelling(rows, columns, penalty):
    energy = random_energy(rows, columns, penalty, seed=2, size=24)
    every = torch.tensor(list(itertools.product(range(len(penalty)), repeat=rows * columns))).view(-1, rows, columns)
    least = []
    for row in range(24):
        costs = (x[row].expand(len(every), *x.shape[1:]) for x in energy[:3])
        least.append(Energy(*costs, penalty).of(every).min())
    gap = energy.of(minimise(energy)) / torch.stack(least) - 1
    assert (gap > -1e-5).all()
    assert gap.mean() < 0.01
    assert (gap < 1e-5).float().mean() > 0.7  # most are the best there is


@pytest.mark.parametrize("labels", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_exact_solver_agrees_with_every_labelling(labels):
    energy = random_energy(2, 3, squares(labels), seed=3, size=4)
    for row in range(4):
        every = itertools.product(range(labels), repeat=6)
        least = min(by_loops(energy, row, torch.tensor(z).view(2, 3)) for z in every)
        assert minimum_cut(energy, row) == pytest.approx(least, abs=1e-5)


@pytest.mark.parametrize(("block", "labels"), [(4, 2), (8, 3), (16, 2), pytest.param(16, 3, marks=pytest.mark.slow)])
def test_puzzles_of_real_size_against_minimum_cuts(block, labels):
    """Images are blobs, saliency is peaked blobs, and the weights are PuzzleMix's own."""
    rng = torch.Generator().manual_seed(block)
    coarse = torch.rand(6, 3, 6, 6, generator=rng)
    images = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear")
    images = (images + torch.randn(images.shape, generator=rng) / 20).clamp(0, 1)
    saliency = torch.nn.functional.avg_pool2d(torch.randn(6, 32, 32, generator=rng).abs() ** 3, 3, 1, 1)
    lam = torch.rand(6, generator=rng)
    energy = puzzle_energy(images, saliency, torch.arange(6).roll(1), lam, block, (1.2, 0.5, 0.2), labels)
    found = energy.of(minimise(energy))
    least = torch.tensor([minimum_cut(energy, row) for row in range(6)])
    gap = found / least - 1
    assert (gap > -1e-4).all()
    assert gap.mean() < 0.01


def test_no_single_cell_is_better_off_with_another_label():
    energy = random_energy(5, 4, potts(4), seed=4)
    labels = minimise(energy)
    cost = energy.unary + energy.given(torch.nn.functional.one_hot(labels, 4).float())
    assert torch.equal(cost.argmin(dim=-1), labels)


def test_where_smoothness_rules_all_cells_agree():
    energy = random_energy(6, 6, squares(3), seed=6)
    stiff = energy._replace(vertical=energy.vertical + 50, horizontal=energy.horizontal + 50)
    labels = minimise(stiff)
    assert torch.equal(labels[:, 0, 0], energy.unary.sum(dim=(1, 2)).argmin(dim=1))
    assert (labels == labels[:, :1, :1]).all()


@pytest.mark.parametrize("unit", [2.0**-20, 2.0**20])
def test_the_labels_do_not_depend_on_the_unit_of_the_costs(unit):
    energy = random_energy(6, 6, squares(3), seed=7)
    scaled = Energy(energy.unary * unit, energy.vertical * unit, energy.horizontal * unit, energy.penalty)
    assert torch.equal(minimise(scaled), minimise(energy))


def test_rows_are_solved_independently():
    energy = random_energy(4, 4, squares(3), seed=5)
    alone = Energy(energy.unary[3:4], energy.vertical[3:4], energy.horizontal[3:4], energy.penalty)
    assert torch.equal(minimise(energy)[3:4], minimise(alone))
