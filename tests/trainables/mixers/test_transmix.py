"""TransMix: its weights by loops, and a small real transformer that trains with it."""

import pytest
import torch
from torch import Tensor

from tests.trainables.methods.small import method_for
from trainables.mixers.cutmix import cutmix
from trainables.mixers.mixed import Mixed
from trainables.mixers.transmix import transmix

B = 8


def colours() -> Tensor:
    return torch.arange(float(B))[:, None, None, None].expand(B, 3, 16, 12) / B


def attention(images: Tensor) -> Tensor:
    return torch.rand(len(images), 4, 3, generator=torch.Generator().manual_seed(1))


def mix(**options: object) -> Mixed:
    options = {"attend": attention, **options}
    return transmix(colours(), torch.Generator().manual_seed(0), **options)


def test_the_images_are_cutmixs():
    plain = cutmix(colours(), torch.Generator().manual_seed(0))
    assert torch.equal(mix().images, plain.images)
    assert torch.equal(mix().sources, plain.sources)
    torch.testing.assert_close(mix(attention_share=0.0).weights, plain.weights)


@pytest.mark.parametrize("attention_share", [0.5, 1.0])
def test_the_weights_by_loops(attention_share):
    mixed = mix(attention_share=attention_share)
    seen = attention(mixed.images)
    compared = 0
    for row in range(B):
        if mixed.sources[row, 1] == row:
            continue
        own = mixed.images[row, 0] == row / B
        attended = sum(seen[row, i, j].item() for i in range(4) for j in range(3) if own[4 * i, 4 * j])
        attended /= seen[row].sum().item()
        wanted = attention_share * attended + (1 - attention_share) * own.float().mean().item()
        assert mixed.weights[row, 0].item() == pytest.approx(wanted, abs=1e-5)
        compared += 0 < attended < 1
    assert compared >= 2
    torch.testing.assert_close(mixed.weights.sum(dim=1), torch.ones(B))


def test_a_transformer_trains_with_it_and_is_asked_for_its_attention_as_in_a_test():
    """In training nine branches of ten are dropped, and the attention would be another at every question."""
    method = method_for("transmix", backbone="vit_tiny_32", drop_path=0.9)
    images, labels = torch.rand(B, 3, 32, 32, generator=torch.Generator().manual_seed(2)), torch.arange(B)
    loss, _ = method(images, labels, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(p.grad is not None for p in method.parameters())
    assert all(module.training for module in method.modules())
    area = cutmix(images, torch.Generator().manual_seed(0)).weights
    first, again = (method.mix(images, labels, torch.Generator().manual_seed(0)).weights for _ in range(2))
    assert torch.equal(first, again)
    assert (first - area).abs().max() > 1e-3
