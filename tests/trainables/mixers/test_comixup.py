"""Co-Mixup: each output nearly the best labelling, the group as a whole salient, diverse and without twins."""

import importlib
import math

import pytest
import torch
from torch import Tensor

from tests.trainables.methods.small import pixels
from trainables.mixers.comixup import comixup
from trainables.mixers.mixed import Mixed, dirichlet
from trainables.mixers.puzzlemix import cell_saliency

module = importlib.import_module("trainables.mixers.comixup")  # the package's attribute is the function


def salient(size: int) -> Tensor:
    """Return a saliency of blobs."""
    noise = torch.randn(size, 1, 16, 12, generator=torch.Generator().manual_seed(6)).abs() ** 3
    return torch.nn.functional.avg_pool2d(noise, 5, 1, 2)[:, 0] ** 2


def mix(size: int, seed: int = 0, **options: object) -> Mixed:
    rng = torch.Generator().manual_seed(seed)
    return comixup(pixels(size), rng, saliency=salient(size), **options)


def shares(mixed: Mixed) -> Tensor:
    """Return the weight of each row of the batch in each output, (B, B)."""
    size = len(mixed.sources)
    return torch.zeros(size, size).scatter_add_(1, mixed.sources, mixed.weights)


def test_the_likeness_of_inputs_is_how_far_their_salient_windows_are_apart():
    corners = ((0, 0), (3, 20), (24, 9))
    saliency = torch.zeros(1, 3, 32, 32)
    for number, (row, column) in enumerate(corners):
        saliency[0, number, row : row + 8, column : column + 8] = 1.0
        # The sum of these fewer, brighter pixels is less: 54, and not 64.
        saliency[0, number, (row + 16) % 32 : (row + 16) % 32 + 6, column : column + 6] = 1.5
    distance = [[abs(a[0] - b[0]) + abs(a[1] - b[1]) for b in corners] for a in corners]
    total = sum(map(sum, distance))
    wanted = 0.999 * torch.eye(3) + 0.001 * torch.tensor(distance) * 3 / total
    torch.testing.assert_close(module._likeness(saliency, 0.001)[0], wanted, rtol=0, atol=1e-6)


def test_what_an_input_costs_in_a_cell_by_loops(monkeypatch):
    """Every output keeps its first labelling here, so that what each of the four rounds pays is known."""
    size, seed = 3, 4  # the first two outputs show the last two inputs alone
    rng = torch.Generator().manual_seed(seed)
    prior = dirichlet(2.0, (1, size), rng)[0]
    shown = torch.nn.functional.one_hot(torch.randint(size, (1, size, 2, 2), generator=rng), size).float()
    asked = []

    def keep(unary, used, beta, *, soft):
        asked.append((unary[0], beta, soft))
        return shown[:, (len(asked) - 1) % size]

    monkeypatch.setattr(module, "_label_output", keep)
    mix(size, seed, block=2, beta=0.4, gamma=0.6, threshold=0.7, eta=0.1, omega=0.01)
    share = cell_saliency(salient(size), (2, 2))
    likeness = module._likeness(salient(size)[None], 0.01)[0]
    used = shown[0].sum(dim=(1, 2))  # (O, I)
    twins = torch.tensor([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert len(asked) == 4 * size
    penalised = 0
    for number, (unary, beta, soft) in enumerate(asked):
        iteration, output = divmod(number, size)
        assert beta == pytest.approx(0.4 / 4)
        assert soft == (iteration > 0)
        for i in range(size):
            others = sum(likeness[i, j] * used[o, j] for j in range(size) for o in range(size) if o != output)
            cost = -0.1 / 4 * math.log(prior[i] + 1e-8)
            if others > 0.7 * 4:
                cost += 2 * 0.6 / 4 * others.item()
                penalised += 1
            if iteration == 3:
                cost += 0.6 / 4 * twins[output, i].item()
            torch.testing.assert_close(unary[..., i], cost - share[i], rtol=0, atol=1e-5)
    assert 0 < penalised < 4 * size * size


@pytest.mark.parametrize("soft", [False, True])
def test_an_output_is_labelled_nearly_as_well_as_can_be(soft):
    """The labelling is compared with every one of 2 x 2 cells, by the energy of the paper written out."""
    rng = torch.Generator().manual_seed(0)
    unary, beta = torch.rand(30, 2, 2, 4, generator=rng), 0.1  # about as strong as in a real group
    used = torch.tensor([2.0, 1.0, 1.0, 0.0]).expand(30, 4)
    choices = torch.eye(4)
    if soft:
        pairs = torch.tensor([[1.0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0]]) / 2
        choices = torch.cat((choices, pairs))

    def energies(row, cells):
        """Return the energy of each of N labellings, (N, 4 cells, 4 inputs)."""
        total = (unary[row].flatten(0, 1) * cells).sum(dim=(1, 2))
        total -= module.SOFT_BONUS * (cells.amax(dim=2) < 1).sum(dim=1)
        for one, other in ((0, 1), (2, 3), (0, 2), (1, 3)):
            total += beta / 2 * (cells[:, one] - cells[:, other]).square().sum(dim=1)
        return total

    found = module._label_output(unary, used, beta, soft=soft).flatten(1, 2)
    every = choices[torch.cartesian_prod(*[torch.arange(len(choices))] * 4)]
    gaps = [float(energies(row, found[row : row + 1]) / energies(row, every).min() - 1) for row in range(30)]
    assert min(gaps) > -1e-5
    assert sum(gaps) / len(gaps) < 0.05


def test_a_cell_may_be_soft_only_between_inputs_that_the_output_has():
    unary = torch.zeros(1, 2, 2, 3)
    unary[..., 2] = 1.0
    one = module._label_output(unary, torch.tensor([[4.0, 0.0, 0.0]]), 0.0, soft=True)
    assert ((one == 0) | (one == 1)).all()
    for dearer, share in ((0.0, 0.5), (9e-4, 0.5), (11e-4, 0.0)):  # half of it is less than 5e-4, or more
        unary[..., 1] = dearer
        two = module._label_output(unary, torch.tensor([[2.0, 2.0, 0.0]]), 0.0, soft=True)
        assert torch.equal(two, torch.tensor([1 - share, share, 0.0]).expand(1, 2, 2, 3))


@pytest.mark.parametrize(("inputs", "pair"), [(2, (0, 1)), (4, (0, 1)), (4, (0, 2)), (4, (1, 2)), (4, (0, 3))])
def test_a_cell_may_be_soft_between_any_two_of_the_three_inputs_that_the_output_has_most_of(inputs, pair):
    unary = torch.ones(1, 1, 4, inputs)
    unary[..., pair] = 0.0
    used = torch.tensor([[2.0, 1.0, 1.0, 0.5][:inputs]])
    share = 0.5 if 3 not in pair else 1.0
    assert (module._label_output(unary, used, 0.0, soft=True).amax(dim=3) == share).all()


@pytest.mark.parametrize(("price", "cells_shown"), [(0.9, [0, 0]), (1.1, [0, 1])])
def test_two_neighbours_show_one_input_where_that_costs_less_than_beta(price, cells_shown):
    beta = 0.1
    unary = torch.tensor([[0.0, 1.0], [price * beta, 0.0]]).view(1, 1, 2, 2)
    shares = module._label_output(unary, torch.ones(1, 2), beta, soft=False)
    assert shares.argmax(dim=3).flatten().tolist() == cells_shown


def test_twins_give_up_one_input_each_and_a_single_input_stays():
    shows = torch.tensor([[[1, 0, 1], [1, 0, 1], [0, 1, 0], [0, 1, 0]]]).bool()
    assert module._tell_twins_apart(shows)[0].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("size", [9, 11])
def test_the_weights_are_the_pixels_of_each_source(size):
    """The images are one-hot in their channels, so that a channel's mean is a source's share."""
    colours = torch.eye(size)[:, :, None, None].expand(size, size, 16, 12).contiguous()
    mixed = comixup(colours, torch.Generator().manual_seed(0), group=4, saliency=salient(size))
    torch.testing.assert_close(shares(mixed), mixed.images.mean(dim=(2, 3)))
    group = torch.arange(size) // 4  # the last one is of one or three
    assert not shares(mixed)[group[:, None] != group].any()
    assert ((mixed.images * 2).round() == mixed.images * 2).all()  # a cell shows one image or two halves


def test_every_input_is_shown_about_once_and_no_two_outputs_are_alike():
    mixed = mix(40)
    assert mixed.sources.shape == (40, 20)
    share = shares(mixed)
    assert 0.4 < share.sum(dim=0).min() <= share.sum(dim=0).max() < 2
    assert ((share > 0).sum(dim=1) > 1).float().mean() > 0.8
    assert (share > 0).unique(dim=0).shape[0] > 35
    assert (share.argmax(dim=1) == torch.arange(40)).float().mean() > 0.5  # handed to the row it shows most
