"""The noise of FMix, and the ways to the pixels that its mask keeps."""

import math

import numpy as np
import pytest
import torch
from torch import Generator

from trainables.mixers.fmix import (
    _threshold_by_counting,
    _threshold_by_searching,
    _threshold_by_sorting,
    draw,
    low_frequency_noise,
)

ROUNDING = 16 * 12 * np.finfo(np.float32).eps  # in a sum of 16 * 12 numbers of order 1


@pytest.mark.parametrize(("height", "width", "decay"), [(16, 12, 3.0), (9, 13, 1.0), (7, 4, 4.0)])
def test_the_noise_of_fmix_is_the_inverse_transform_of_a_scaled_spectrum(height, width, decay):
    noise = low_frequency_noise(2, height, width, decay, Generator().manual_seed(0)).double().numpy()
    parts = torch.randn(2, height, width // 2 + 1, 2, generator=Generator().manual_seed(0)).double().numpy()
    for b in range(2):
        spectrum = np.zeros((height, width // 2 + 1), complex)
        for y, x in np.ndindex(spectrum.shape):
            frequency = math.hypot(min(y, height - y) / height, x / width)
            scale = 1 / max(frequency, 1 / max(height, width)) ** decay
            spectrum[y, x] = scale * complex(*parts[b, y, x])
        expected = np.fft.irfft2(spectrum, (height, width))
        np.testing.assert_allclose(noise[b], expected, rtol=0, atol=ROUNDING * np.abs(expected).max())


@pytest.mark.parametrize(("height", "width"), [(16, 12), (32, 32), (130, 250), (7, 4), (1, 1)])
def test_the_masks_of_fmix_are_the_same_by_sorting_searching_and_counting(height, width):
    """A processor sorts small images and searches large ones, a GPU counts.

    The cases include equal pixels, no pixel that stays, and all that stay.
    """
    field = torch.rand(40, height * width, generator=Generator().manual_seed(0))
    field[::4] = (field[::4] * 4).floor() / 4
    count = (torch.rand(40, 1, generator=Generator().manual_seed(1)) * (height * width + 1)).floor()
    count[:2], count[2:4] = 0, height * width
    by_sorting, by_counting = _threshold_by_sorting(field, count), _threshold_by_counting(field, count)
    assert torch.equal(by_sorting, by_counting)
    assert torch.equal(field > _threshold_by_searching(field, count), field > by_counting)
    assert ((field > by_sorting).sum(dim=1, keepdim=True) <= count).all()


@pytest.mark.parametrize(("height", "width"), [(128, 256), (129, 250)])
def test_the_noise_of_many_large_images_is_that_of_one_draw(height, width):
    """They are worked on in portions, for which normal numbers can be drawn one after another in blocks of 16 alone."""
    parts = torch.randn(4, height, width // 2 + 1, 2, generator=Generator().manual_seed(0))
    noise = low_frequency_noise(4, height, width, 0.0, Generator().manual_seed(0))
    expected = torch.fft.irfft2(torch.view_as_complex(parts), s=(height, width))
    np.testing.assert_allclose(noise, expected, rtol=0, atol=ROUNDING * expected.abs().max().item())


def test_a_share_between_two_counts_of_pixels_is_rounded_either_way_as_often():
    images, rng = torch.empty(4000, 1, 4, 3), Generator().manual_seed(0)
    _, kept, lam, _ = draw(images, rng, alpha=1.0, decay=3.0, per_batch=False)
    assert (kept > 12 * lam).float().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(4000))
