"""FGSM and PGD against their known answers on a linear model, and their bounds."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tests.trainables.seeded import seeded
from trainables.robustness.adversarial import EPSILON, fgsm, fgsm_sumix_release, logits_under_attack, pgd
from trainables.robustness.classifier import top1

ATTACKS = {"fgsm": fgsm, "pgd": partial(pgd, rng=seeded(0)), "pgd from the image": pgd}


class Linear(nn.Module):
    """Two classes; the margin of class 1 is a weighted sum of the pixels, with dropout that only training applies."""

    def __init__(self, seed=1, offset=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3 * 16 * 12, generator=seeded(seed)))
        self.offset = offset
        self.dropout = nn.Dropout(0.9)

    def forward(self, images):
        margin = self.dropout(images.flatten(1)) @ self.weight + self.offset
        return torch.stack((torch.zeros_like(margin), margin), 1)


@pytest.fixture
def images():
    return 0.2 + 0.6 * torch.rand(5, 3, 16, 12, generator=seeded(2))


LABELS = torch.tensor([0, 1, 0, 1, 1])


def uphill(model):
    """Return the sign of the loss's gradient: class 0 is hurt by a larger margin."""
    return (1 - 2 * LABELS)[:, None, None, None] * model.weight.detach().sign().view(3, 16, 12)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_linear_model_meets_its_worst_case(attack, images):
    model = Linear().train()
    assert torch.allclose(attack(model, images, LABELS), images + EPSILON * uphill(model), atol=1e-6)
    assert all(module.training for module in model.modules())
    assert model.weight.grad is None


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_bound_and_range_hold_at_the_ends_of_the_scale(attack):
    images = torch.rand(5, 3, 16, 12, generator=seeded(3)).round()
    before = images.clone()
    attacked = attack(Linear(), images, LABELS)
    assert torch.equal(images, before)
    assert 0 <= attacked.min() <= attacked.max() <= 1
    assert (attacked - images).abs().max().item() == pytest.approx(EPSILON, abs=1e-6)


def test_step_of_pgd_is_not_longer_than_said(images):
    # Unless it is told otherwise it takes ten steps of 2/255, within a bound of 8/255.
    for options, reach in (({"step": 0.001, "iterations": 3}, 0.003), ({"epsilon": 1.0}, 20 / 255), ({}, 8 / 255)):
        moved = (pgd(Linear(), images, LABELS, **options) - images).abs()
        assert torch.allclose(moved, torch.full_like(images, reach), atol=1e-6)
    assert (fgsm(Linear(), images, LABELS, epsilon=0.1) - images).abs().min().item() == pytest.approx(0.1)


def test_random_start_is_seeded_and_within_the_bound_and_the_range(images):
    images = images.round()
    starts = [pgd(Linear(), images, LABELS, seeded(seed), iterations=0) for seed in (0, 0, 1)]
    assert 0 <= starts[0].min() <= starts[0].max() <= 1
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    moved = (starts[0] - images).abs()
    assert EPSILON / 2 < moved.max() <= EPSILON + 1e-6


def test_pgd_hurts_a_curved_model_more_than_fgsm(images):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 14 * 10, 4))
    attacked = (images, fgsm(model, images, LABELS), pgd(model, images, LABELS, seeded()))
    pixels = images.clone().requires_grad_()
    cross_entropy(model(pixels), LABELS).backward()
    assert torch.allclose(attacked[1], images + EPSILON * pixels.grad.sign(), atol=1e-6)  # one step
    losses = [cross_entropy(model(pixels), LABELS).item() for pixels in attacked]
    assert losses[0] < losses[1] < losses[2]


def test_release_destroys_what_is_below_the_mean_even_without_a_bound(images):
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
    low, spread = (torch.tensor(values)[:, None, None] for values in (mean, std))
    for epsilon in (0.1, 0.0):
        attacked = fgsm_sumix_release(Linear(), images, LABELS, mean=mean, std=std, epsilon=epsilon)
        moved = images + epsilon * spread * uphill(Linear())
        assert torch.allclose(attacked, moved.clamp(low, low + spread), atol=1e-6)
    assert (attacked - images).abs().max() > EPSILON


def test_error_counts_by_hand_and_transfers_from_another_model():
    grey = torch.full((4, 3, 16, 12), 0.5)
    weight = Linear().weight.detach()
    reach = float(EPSILON * weight.abs().sum())  # how far an attack moves the margin
    labels = torch.tensor([1, 1, 1, 1])
    weak, strong = (Linear(offset=float(-0.5 * weight.sum()) + share * reach) for share in (0.5, 1.5))

    def error(model, attack, **options):
        return 100 - top1(logits_under_attack(model, grey, labels, attack, **options), labels)

    assert error(weak, lambda model, x, y: x) == 0
    assert error(weak, fgsm, batch_size=3) == 100
    assert error(strong, fgsm) == 0
    # The attack on a model of unrelated weights moves the margin by less.
    assert error(weak, fgsm, source=Linear(seed=9)) == 0
    assert error(weak, fgsm, source=strong) == 100  # a margin of 20: float32 would see none
