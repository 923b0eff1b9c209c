"""AugMix's method: the loss by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.trainables.methods.small import method_for
from trainables.methods.consistency import jensen_shannon
from trainables.mixers import MIXERS
from trainables.mixers.augmix import augmix


def test_the_divergence_by_loops():
    logits = torch.randn(3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p = logits.softmax(dim=-1)
    total = 0.0
    for row in range(2):
        for view in range(3):
            for k in range(4):
                mean = sum(p[v, row, k].item() for v in range(3)) / 3
                total += p[view, row, k].item() * math.log(p[view, row, k].item() / mean) / 6
    assert jensen_shannon(logits).item() == pytest.approx(total)
    assert jensen_shannon(logits[:1].expand(3, -1, -1)).item() == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(torch.tensor([[[0.0, 1000.0]]]).expand(3, 1, 2)) == 0  # all are sure


def test_the_loss_is_clean_cross_entropy_and_twelve_divergences_of_two_mixtures():
    method = method_for("augmix").double()
    images = torch.rand(4, 3, 16, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([1, 2, 3, 4])
    loss, log = method(images, labels, torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(0)
    views = [MIXERS["augmix"](images, rng).images for _ in range(2)]
    assert not torch.equal(*views)
    logits = method.network(torch.cat((images, *views))).unflatten(0, (3, 4))
    wanted = F.cross_entropy(logits[0], labels) + 12 * jensen_shannon(logits)
    torch.testing.assert_close(loss, wanted)
    assert log["consistency"] > 0


def test_the_legacy_loss_is_the_cross_entropy_of_a_mixture_that_is_normalised_twice():
    method = method_for("augmix", mixer__legacy=True, mixer__severity=1.0).double()
    images = torch.rand(4, 3, 16, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([1, 2, 3, 4])
    loss, log = method(images, labels, torch.Generator().manual_seed(0))
    mean, std = torch.tensor([(0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)])[:, :, None, None]
    mixed = augmix((images - mean) / std, torch.Generator().manual_seed(0), severity=1.0, legacy=True).images
    wanted = F.cross_entropy(method.network.backbone((mixed - mean) / std), labels)
    torch.testing.assert_close((loss, log), (wanted, {}))
