"""mixup or CutMix in turn: at either end it is the one or the other, and between them rows differ."""

import pytest
import torch
from scipy import stats
from torch import Generator

from trainables.mixers.cutmix import cutmix
from trainables.mixers.mixed import Mixed
from trainables.mixers.mixup_cutmix import mixup_cutmix

B, H, W = 512, 16, 12
IMAGES = torch.rand(B, 3, H, W, generator=Generator().manual_seed(7))


def mix(**options: float) -> Mixed:
    return mixup_cutmix(IMAGES, Generator().manual_seed(0), **options)  # type: ignore[arg-type]


def blended(mixed: Mixed) -> torch.Tensor:
    """Return the rows that are a blend of whole images, (B,) bool."""
    lam = mixed.weights[:, :1, None, None]
    wanted = lam * IMAGES + (1 - lam) * IMAGES[mixed.sources[:, 1]]
    return (mixed.images - wanted).abs().amax(dim=(1, 2, 3)) < 1e-5


def test_a_share_of_1_is_cutmix() -> None:
    ours, theirs = mix(cutmix_share=1.0, alpha=0.4), cutmix(IMAGES, Generator().manual_seed(0), alpha=0.4)
    for one, other in zip(ours[:3], theirs[:3], strict=True):
        assert torch.equal(one, other)


def test_a_share_of_0_is_mixup() -> None:
    mixed = mix(cutmix_share=0.0, mixup_alpha=0.8)
    assert blended(mixed).all()
    assert stats.kstest(mixed.weights[:, 0].double().numpy(), stats.beta(0.8, 0.8).cdf).pvalue > 0.01


def test_a_share_between_is_the_share_of_rows() -> None:
    mixed = mix(cutmix_share=0.25, alpha=4.0, mixup_alpha=4.0)
    assert blended(mixed).float().mean().item() == pytest.approx(0.75, abs=0.06)
    copied = (mixed.images == IMAGES).all(dim=1) | (mixed.images == IMAGES[mixed.sources[:, 1]]).all(dim=1)
    assert copied[~blended(mixed)].all()  # the other rows are cut: every pixel is of one image or the other
