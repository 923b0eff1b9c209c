"""The released arithmetic of SUMix, recomputed by plain loops, and the numbers derived from it."""

import math

import pytest
import torch

from tests.trainables.losses.test_sumix import norm, softmax
from trainables.losses.sumix_release import ReleasedSUMixLoss
from trainables.losses.sumix_terms import SUMixTerms
from trainables.mixers.mixed import Mixed, mixed_cross_entropy, pair

B, D, L = 4, 3, 5
LABELS = torch.tensor([0, 1, 1, 4])
PARTNER = torch.tensor([3, 0, 1, 2])  # row 2 is paired with a row of its own class


def batch(seed: int = 0) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(seed)
    shapes = ((B, D), (B, L), (B, D), (B, L))
    return tuple(torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes)


def mixed_pairs() -> Mixed:
    return pair(torch.zeros(B, 1, 2, 3), PARTNER, torch.tensor([0.9, 0.5, 0.2, 0.75], dtype=torch.float64))


def release(num_features: int = D, num_classes: int = L, **terms: object) -> ReleasedSUMixLoss:
    torch.manual_seed(0)
    return ReleasedSUMixLoss(num_features, num_classes, SUMixTerms(**terms)).double()


def unit(values: list[float]) -> list[float]:
    return [v / norm(values) for v in values]


def by_hand(loss: ReleasedSUMixLoss, zeta: float) -> tuple[float, float, float]:
    """Return the loss, lambda and the regulariser with every term on, one number at a time."""
    features, logits, mixed_features, mixed_logits = (x.tolist() for x in batch())
    weight, bias = loss.uncertainty.weight.tolist(), loss.uncertainty.bias.tolist()
    drawn = mixed_pairs().weights.tolist()

    def doubt(row: list[float]) -> list[float]:
        return unit(softmax([sum(w * x for w, x in zip(weight[k], row, strict=True)) + bias[k] for k in range(L)]))

    lambdas, regulariser = [], 0.0
    for i in range(B):
        coordinates = []
        for source, (me, other) in enumerate(((i, int(PARTNER[i])), (int(PARTNER[i]), i))):
            y, y_other = int(LABELS[me]), int(LABELS[other])
            p, p_mixed = softmax(logits[me]), softmax(mixed_logits[i])
            p[y_other] = 0.0
            s = [B * v for v in unit(softmax([a - b for a, b in zip(p_mixed, p, strict=True)]))]
            coordinates.append(s[y])
            u, u_mixed = doubt(features[me]), doubt(mixed_features[i])
            r = [math.exp(-(u[k] + u_mixed[k] + s[k])) for k in range(L)]
            regulariser -= drawn[i][source] * math.log(softmax(r)[y]) / B
        own, partner = (drawn[i][k] * math.exp(-coordinates[k]) for k in (0, 1))
        lambdas.append(own / (own + partner))
    lam = sum(lambdas) / B
    main = 0.0
    for i, logits_of_row in enumerate(mixed_logits):
        p_mixed = softmax(logits_of_row)
        main -= (lam * math.log(p_mixed[LABELS[i]]) + (1 - lam) * math.log(p_mixed[LABELS[PARTNER[i]]])) / B
    return main + zeta * regulariser, lam, regulariser


def test_every_number_is_that_of_plain_loops():
    loss = release(lam="learned", regulariser="su", zeta=0.3)
    parts = loss(*batch(), LABELS, mixed_pairs())
    wanted, lam, regulariser = by_hand(loss, 0.3)
    assert parts.loss.item() == pytest.approx(wanted, abs=1e-12)
    assert parts.regulariser.item() == pytest.approx(regulariser, abs=1e-12)
    torch.testing.assert_close(parts.weights, torch.tensor([[lam, 1 - lam]], dtype=torch.float64).expand(B, 2))


@pytest.mark.parametrize(
    ("num_classes", "batch_size", "scale", "digits", "wanted"),
    [
        (100, 100, 1.0, 2, (0.07, 0.06, 0.17, 0.5, 0.83)),
        (200, 100, 1.0, 2, (0.28, 0.22, 0.30, 0.5, 0.70)),
        (200, 16, 1.0, 2, (0.91, 0.84, 0.64, 0.5, 0.36)),
        (100, 100, 0.01, 3, (0.947, 0.895, 0.695, 0.5, 0.305)),
    ],
)
def test_lambda_of_a_calibrated_network(num_classes, batch_size, scale, digits, wanted):
    """It is 95 % sure of every image, and of a mixture exactly in its proportion: each row is its own study."""
    labels = torch.arange(batch_size) % 2
    confident = torch.full((2, num_classes), 0.05 / (num_classes - 1), dtype=torch.float64)
    confident[0, 0] = confident[1, 1] = 0.95
    partner, before = torch.arange(batch_size).roll(1), confident[labels]
    features = torch.zeros(batch_size, D, dtype=torch.float64)
    loss = release(D, num_classes, lam="learned", regulariser="none", sem_scale=scale)
    for drawn, learned in zip((0.95, 0.9, 0.7, 0.5, 0.3), wanted, strict=True):
        after = drawn * before + (1 - drawn) * before[partner]
        mixed = pair(torch.zeros(batch_size, 1, 2, 3), partner, torch.full((batch_size,), drawn).double())
        parts = loss(features, before.log(), features, after.log(), labels, mixed)
        assert parts.weights[0, 0].item() == pytest.approx(learned, abs=0.51 * 10**-digits)


@pytest.mark.parametrize(("regulariser", "flows"), [("s", False), ("u", True), ("su", True)])
def test_the_semantic_regulariser_alone_has_no_gradient(regulariser, flows):
    loss = release(lam="fixed", regulariser=regulariser)
    inputs = [x.requires_grad_() for x in batch()]
    parts = loss(*inputs, LABELS, mixed_pairs())
    assert parts.regulariser.item() > 0
    assert parts.regulariser.requires_grad is flows
    parts.loss.backward()
    assert (loss.uncertainty.weight.grad is not None) is flows
    plain = inputs[3].detach().requires_grad_()
    mixed_cross_entropy(plain, LABELS, mixed_pairs()).backward()
    torch.testing.assert_close(inputs[3].grad, plain.grad)  # not even the paper's path through the mixed logits
    assert inputs[1].grad is None


def test_the_regulariser_is_almost_inert_in_a_batch_of_100():
    """Its logits are about exp(-10), so that it is a constant, log L, whatever the network does."""
    rng = torch.Generator().manual_seed(0)
    features, logits, mixed_logits = (torch.randn(100, 100, generator=rng, dtype=torch.float64) for _ in range(3))
    own = torch.arange(100)
    mixed = pair(torch.zeros(100, 1, 2, 3), own.roll(1), torch.full((100,), 0.5).double())
    parts = release(100, 100, regulariser="su")(features, logits, features, mixed_logits, own, mixed)
    assert parts.regulariser.item() == pytest.approx(math.log(100), abs=1e-3)
    assert parts.z_su.item() == pytest.approx(math.exp(-10.2), rel=0.1)


@pytest.mark.parametrize("sources", [1, 3])
def test_anything_but_pairs_is_refused(sources):
    mixed = Mixed(torch.zeros(B, 1, 2, 3), torch.zeros(B, sources).long(), torch.full((B, sources), 1 / sources))
    with pytest.raises(ValueError, match=f"mixtures of 2 images, got {sources}"):
        release()(*batch(), LABELS, mixed)
