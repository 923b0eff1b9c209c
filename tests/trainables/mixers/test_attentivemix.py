"""Attentive CutMix: the most attended cells are kept, as many as lambda says."""

import pytest
import torch
from torch import Tensor

from trainables.mixers.attentivemix import attentivemix
from trainables.mixers.mixed import Mixed

B = 8


def colours() -> Tensor:
    """Return images of one value each, the row's number."""
    return torch.arange(float(B))[:, None, None, None].expand(B, 3, 16, 12) / B


def attention() -> Tensor:
    return torch.rand(B, 4, 3, generator=torch.Generator().manual_seed(1))


def mix(seed: int = 0, **options: object) -> Mixed:
    options = {"attention": attention(), **options}
    return attentivemix(colours(), torch.Generator().manual_seed(seed), **options)


def kept_cells(mixed: Mixed) -> list[Tensor]:
    """Return which 4 x 4 cells show the own image, for each row with another image as its partner."""
    shown = mixed.images[:, 0].unfold(1, 4, 4).unfold(2, 4, 4).flatten(3)  # (B, 4, 3, 16)
    assert (shown == shown[..., :1]).all()  # a cell is never torn
    return [shown[row, ..., 0] == row / B if mixed.sources[row, 1] != row else None for row in range(B)]


def test_every_kept_cell_is_attended_to_more_than_every_cell_that_is_not():
    mixed = mix()
    for row, kept in enumerate(kept_cells(mixed)):
        if kept is None:
            continue
        assert kept.any()
        assert mixed.weights[row, 0].item() == pytest.approx(kept.float().mean().item())
        if not kept.all():
            assert attention()[row][kept].min() > attention()[row][~kept].max()
    assert mixed.weights[:, 0].unique().numel() > 2


@pytest.mark.parametrize("seen", [attention(), torch.zeros(B, 4, 3)], ids=["different", "equal"])
def test_top_k_keeps_that_many_cells_of_every_image(seen):
    for top_k in (1, 5, 12):
        mixed = mix(top_k=top_k, attention=seen)
        for kept in kept_cells(mixed):
            assert kept is None or kept.sum() == top_k
        torch.testing.assert_close(mixed.weights[:, 0], torch.full((B,), top_k / 12))
    for top_k in (0, 13):
        with pytest.raises(ValueError, match="top_k must be between 1 and 12"):
            mix(top_k=top_k)
