"""AugMix: mixtures of an image with its own chains."""

import importlib

import pytest
import torch
from torch import Tensor

from trainables.mixers.augmix import augmix

module = importlib.import_module("trainables.mixers.augmix")  # the package's attribute is the function

B = 6


def pixels() -> Tensor:
    return torch.randint(256, (B, 3, 16, 12), generator=torch.Generator().manual_seed(5)) / 255


def mix(seed: int = 0, images: Tensor | None = None, **options: object) -> Tensor:
    images = pixels() if images is None else images
    return augmix(images, torch.Generator().manual_seed(seed), **options).images  # type: ignore[arg-type]


def test_every_image_changes_and_the_label_stays() -> None:
    mixed = augmix(pixels(), torch.Generator().manual_seed(0))
    assert mixed.sources.tolist() == [[row] for row in range(B)]
    assert mixed.weights.tolist() == [[1.0]] * B
    assert (mixed.images != pixels()).flatten(1).any(dim=1).all()


def test_without_operations_the_image_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "apply_one_each", lambda chains, rng, severity: chains)
    torch.testing.assert_close(mix(), pixels())


def test_the_mixture_is_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation adds 1/255 to a pixel, so that the sum is m times the mean length of the chains."""
    monkeypatch.setattr(module, "apply_one_each", lambda chains, rng, severity: chains + 1)
    images = torch.full((400, 1, 2, 3), 0.2)
    added = (mix(images=images) - images)[:, 0, 0, 0] * 255
    assert added.min() > 0
    assert added.max() < 3
    assert added.mean().item() == pytest.approx(0.5 * 2, abs=0.1)  # E[m] = 1/2, a chain is of 1, 2 or 3 operations
    assert added.unique().numel() > 390


def test_severity_is_how_far_it_goes() -> None:
    change = [sum((mix(s, severity=v) - pixels()).abs().mean() for s in range(4)) for v in (0.1, 10.0)]
    assert change[1] > 1.3 * change[0]
