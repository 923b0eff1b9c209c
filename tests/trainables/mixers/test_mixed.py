"""The losses on a mixed batch, by hand and in half precision."""

import pytest
import torch

from trainables.mixers.cutmix import cutmix
from trainables.mixers.mixed import Mixed, mixed_binary_cross_entropy, mixed_cross_entropy


def test_smoothing_and_the_binary_loss_by_hand():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=rng, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    mixed = cutmix(torch.rand(6, 3, 8, 8, generator=rng), rng, alpha=1.0)
    targets = torch.zeros(6, 5, dtype=torch.float64)
    for row in range(6):
        for source, weight in zip(mixed.sources[row], mixed.weights[row], strict=True):
            targets[row, labels[source]] += float(weight)
    smooth = 0.9 * targets + 0.1 / 5
    wanted = -(smooth * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(mixed_cross_entropy(logits, labels, mixed, 0.1), wanted)
    p = logits.sigmoid()
    wanted = -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()
    torch.testing.assert_close(mixed_binary_cross_entropy(logits, labels, mixed), wanted)


@pytest.mark.parametrize("loss", [mixed_cross_entropy, mixed_binary_cross_entropy])
def test_half_precision_rounds_no_lambda(loss):
    """Bfloat16 has no number between 0.5 and 0.50390625: the losses of both lambdas would be the same."""
    logits, labels = torch.tensor([[1.0, -1.0], [0.5, 2.0]]), torch.tensor([0, 1])
    for lam in (0.501, 0.502):
        weights = torch.tensor([[lam, 1 - lam]] * 2)
        mixed = Mixed(torch.zeros(2, 3, 16, 12), torch.tensor([[0, 1], [1, 0]]), weights)
        exact = loss(logits, labels, mixed)
        assert torch.equal(loss(logits.half(), labels, mixed), exact)
        assert torch.equal(loss(logits.bfloat16(), labels, mixed), exact)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(loss(logits, labels, mixed), exact)
