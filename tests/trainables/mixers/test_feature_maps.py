"""Manifold Mixup mixes the maps of a layer, and AlignMixup maps that are aligned by an optimal transport."""

import importlib
import itertools
from functools import partial

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tests.trainables.methods.small import B, method_for, pixels
from tests.trainables.seeded import seeded
from trainables.mixers.alignmix import alignmix, transport_plan
from trainables.mixers.choice import choose
from trainables.mixers.manifoldmix import manifoldmix


@pytest.fixture(scope="module")
def network():
    return method_for("none").network.eval()


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=seeded())


# Of resnet8, which has a stem and 3 residual stages.
@pytest.mark.parametrize(("layer", "stages"), [(0, 0), (1, 2), (2, 3), (3, 4)])
def test_the_maps_of_a_layer_are_mixed_row_by_row(network, layer, stages):
    mixed = manifoldmix(pixels(), seeded(), encode=network.encode, num_stages=4, layers=(layer,))
    maps = network.encode(pixels(), stages)
    assert mixed.depth == stages
    assert mixed.weights[:, 0].unique().numel() == B
    assert torch.equal(mixed.sources[:, 0], torch.arange(B))
    for row in range(B):
        own, partner = maps[mixed.sources[row]]
        lam = mixed.weights[row, 0]
        torch.testing.assert_close(mixed.images[row], lam * own + (1 - lam) * partner)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])  # the maps of a transformer, and of a ResNet
@pytest.mark.parametrize("mixer", [manifoldmix, partial(alignmix, alternate="nothing")])
def test_maps_keep_their_type_where_a_run_computes_in_half_precision(mixer, dtype):
    few = pixels()[..., :4, :4]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = mixer(few, seeded(), encode=lambda images, _: images.to(dtype), num_stages=4)
    exact = mixer(few, seeded(), encode=lambda images, _: images, num_stages=4)
    assert mixed.images.dtype == dtype
    torch.testing.assert_close(mixed.images.float(), exact.images, rtol=0, atol=0.02)


def test_choose_is_uniform_repeats_with_the_seed_and_moves_the_generator():
    drawn, again = ([choose("abc", rng) for _ in range(600)] for rng in (seeded(1), seeded(1)))
    assert drawn == again
    assert all(160 < drawn.count(letter) < 240 for letter in "abc")
    follows = sum(one == other for one, other in itertools.pairwise(drawn))
    assert 150 < follows < 250  # one draw says nothing about the next


@pytest.mark.parametrize("seed", range(4))
def test_a_network_without_the_layers_of_the_other_mixer_is_refused_whichever_a_batch_is_mixed_by(network, seed):
    with pytest.raises(ValueError, match=r"^alternate must be 'mixup' or 'nothing' with a network of fewer than 4 "):
        alignmix(pixels(), seeded(seed), encode=network.encode, num_stages=3)
    for other in ("mixup", "nothing"):
        alignmix(pixels(), seeded(seed), encode=network.encode, num_stages=3, alternate=other)


def test_the_plan_has_its_marginals():
    plan = transport_plan(normal(4, 3, 12), normal(4, 3, 12).flip(0), eps=0.5, iterations=200)
    mass = torch.full((4, 12), 1 / 12, dtype=torch.float64)
    torch.testing.assert_close(plan.sum(dim=2), mass)
    torch.testing.assert_close(plan.sum(dim=1), mass, rtol=1e-3, atol=0)
    assert (plan >= 0).all()


def test_with_little_entropy_the_plan_is_the_optimal_assignment():
    """The plan agrees with an independent exact solver."""
    target, moved = normal(5, 8, 10), normal(5, 8, 10).flip(0).roll(1, 2)
    plan = transport_plan(target, moved, eps=0.02, iterations=2000) * 10
    for row in range(5):
        cost = torch.cdist(target[row].T, moved[row].T).square()
        exact = linear_sum_assignment(cost)
        best = cost[exact].sum().item()
        assert (plan[row] * cost).sum().item() == pytest.approx(best, rel=0.01)


def test_large_distances_neither_overflow_nor_vanish():
    plan = transport_plan(1000 * normal(2, 64, 16), 1000 * normal(2, 64, 16).flip(0), eps=0.1, iterations=100)
    torch.testing.assert_close(plan.sum(dim=(1, 2)), torch.ones(2, dtype=torch.float64))


def test_each_row_is_one_of_the_two_aligned_mixtures(network):
    mixed = alignmix(pixels(), seeded(), encode=network.encode, num_stages=4, alternate="nothing")
    assert mixed.depth == 4
    maps = network.encode(pixels(), 4).flatten(2)
    directions = []
    for row in range(B):
        lam = mixed.weights[row, 0]
        own, other = (maps[mixed.sources[row, k]][None] for k in (0, 1))
        to_own = other.double() @ transport_plan(own, other, 0.1, 100).mT * own.shape[2]
        to_other = own.double() @ transport_plan(other, own, 0.1, 100).mT * own.shape[2]
        candidates = lam * own + (1 - lam) * to_own, lam * to_other + (1 - lam) * other
        errors = [(c - mixed.images[row].flatten(1)).abs().max().item() for c in candidates]
        assert min(errors) < 1e-4
        if row != mixed.sources[row, 1]:
            assert max(errors) > 1e-2
            directions.append(errors.index(min(errors)))
    assert set(directions) == {0, 1}  # a coin for each row


def test_the_plan_has_no_gradient_but_the_maps_have(network, monkeypatch):
    plans = []

    def kept(*arguments):
        plans.append(transport_plan(*arguments))
        return plans[-1]

    # The package's attribute is the function.
    monkeypatch.setattr(importlib.import_module("trainables.mixers.alignmix"), "transport_plan", kept)
    mixed = alignmix(pixels(), seeded(), encode=network.encode, num_stages=4, alternate="nothing")
    (gradient,) = torch.autograd.grad(mixed.images.sum(), next(network.backbone.stages[0].parameters()))
    assert gradient.any()
    assert [plan.requires_grad for plan in plans] == [False]


@pytest.mark.parametrize(("alternate", "depths"), [("manifoldmix", {0, 2, 3, 4}), ("mixup", {0, 4}), ("nothing", {4})])
def test_every_second_batch_is_mixed_otherwise(alternate, depths):
    rng = seeded()
    options = {"encode": lambda x, depth: x[..., :2, :2], "num_stages": 4, "iterations": 1}
    drawn = [alignmix(pixels(), rng, alternate=alternate, **options).depth for _ in range(60)]
    assert set(drawn) == depths
    if alternate != "nothing":
        assert 18 <= drawn.count(4) <= 42
