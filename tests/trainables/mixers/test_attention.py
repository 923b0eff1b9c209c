"""The mixers that read a network's attention: Attentive CutMix keeps the most attended cells, TransMix weighs by it."""

import pytest
import torch
from torch import Tensor

from tests.trainables.methods.small import method_for
from tests.trainables.seeded import seeded
from trainables.backbones.deit import DeiT
from trainables.backbones.token_merging import merged_attention
from trainables.methods.inputs import INPUTS
from trainables.mixers.attentivemix import attentivemix
from trainables.mixers.cutmix import cutmix
from trainables.mixers.mixed import Mixed
from trainables.mixers.transmix import transmix

B = 8


def colours() -> Tensor:
    """Return images of one value each, the row's number."""
    return torch.arange(float(B))[:, None, None, None].expand(B, 3, 16, 12) / B


def attention(images: Tensor | None = None) -> Tensor:
    return torch.rand(B, 4, 3, generator=seeded(1))


def kept_cells(mixed: Mixed) -> dict[int, Tensor]:
    """Return which 4 x 4 cells show the own image, for each row with another image as its partner."""
    shown = mixed.images[:, 0].unfold(1, 4, 4).unfold(2, 4, 4).flatten(3)  # (B, 4, 3, 16)
    assert (shown == shown[..., :1]).all()  # a cell is never torn
    return {row: shown[row, ..., 0] == row / B for row in range(B) if mixed.sources[row, 1] != row}


def test_every_kept_cell_is_attended_to_more_than_every_cell_that_is_not():
    mixed = attentivemix(colours(), seeded(), alpha=0.3, attention=attention())  # of a row lambda is below 1/12
    for row, kept in kept_cells(mixed).items():
        assert kept.any()
        assert mixed.weights[row, 0].item() == pytest.approx(kept.float().mean().item())
        if not kept.all():
            assert attention()[row][kept].min() > attention()[row][~kept].max()
    assert mixed.weights[:, 0].unique().numel() > 2


@pytest.mark.parametrize("seen", [attention(), torch.zeros(B, 4, 3)], ids=["different", "equal"])
def test_top_k_keeps_that_many_cells_of_every_image(seen):
    for top_k in (1, 5, 12):
        mixed = attentivemix(colours(), seeded(), top_k=top_k, attention=seen)
        assert {int(kept.sum()) for kept in kept_cells(mixed).values()} == {top_k}
        torch.testing.assert_close(mixed.weights[:, 0], torch.full((B,), top_k / 12))
    for top_k in (0, 13):
        with pytest.raises(ValueError, match="top_k must be between 1 and 12"):
            attentivemix(colours(), seeded(), top_k=top_k, attention=seen)


def test_the_images_of_transmix_are_cutmixs():
    plain, mixed = cutmix(colours(), seeded()), transmix(colours(), seeded(), attend=attention, attention_share=0.0)
    assert torch.equal(mixed.images, plain.images)
    assert torch.equal(mixed.sources, plain.sources)
    torch.testing.assert_close(mixed.weights, plain.weights)


@pytest.mark.parametrize("attention_share", [0.5, 1.0])
def test_the_weights_of_transmix_by_loops(attention_share):
    mixed, seen = transmix(colours(), seeded(), attend=attention, attention_share=attention_share), attention()
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


@pytest.mark.parametrize(
    ("mixer", "asked", "share", "attended"),
    [("transmix", "attend", (), DeiT.class_attention), ("mergemix", "attend_merged", (0.5,), merged_attention)],
)
def test_a_transformer_trains_and_is_asked_for_its_attention_as_in_a_test(mixer, asked, share, attended):
    """In training nine branches of ten are dropped, and the attention would be another at every question."""
    method = method_for(mixer, backbone="vit_tiny_32", drop_path=0.9)
    images, labels = torch.rand(B, 3, 32, 32, generator=seeded(2)), torch.arange(B)
    method(images, labels, seeded())[0].backward()
    assert all(p.grad is not None for p in method.parameters())
    assert all(module.training for module in method.modules())
    seen = INPUTS[asked](method.network, images, labels)(images, *share)
    with torch.no_grad():
        wanted = attended(method.network.eval().backbone, method.network.normalise(images), *share)
    assert torch.equal(seen, wanted)
