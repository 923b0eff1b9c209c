"""Erasing, jitter, lighting and hue; images are 24x20."""

import math

import pytest
import torch
from torchvision.transforms.v2 import functional as v2

from trainables.augment.colour import COMPONENTS, jitter, lighting, turn_hue
from trainables.augment.random_erasing import random_erasing
from trainables.seeds import generator

B, C, H, W = 400, 3, 24, 20


@pytest.mark.parametrize(("H", "W"), [(H, W), (W, H)])
def test_the_box_is_that_of_a_loop_over_the_tries_and_becomes_noise(H, W):
    """As the paper draws it, from the same numbers: the first of ten boxes that is smaller than the image."""
    draws = torch.rand(5, B, 10, generator=generator(0, "augment"), dtype=torch.float32).double()
    options = {"probability": 0.6, "mean": (0.5, 0.5, 0.3), "std": (1.0, 0.2, 0.1)}
    images = torch.zeros(B, C, H, W, dtype=torch.uint8)
    result = random_erasing(images, generator(0, "augment"), **options)
    changed, tried = (result != 0).any(dim=1), 0
    for b in range(B):
        expected = torch.zeros(H, W, dtype=torch.bool)
        for number in range(10):
            area = H * W * (0.02 + (1 / 3 - 0.02) * draws[0, b, number].item())
            ratio = math.exp(math.log(0.3) + math.log(1 / 0.3 / 0.3) * draws[1, b, number].item())
            height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if height < H and width < W:
                top = int(draws[2, b, 0].item() * (H - height + 1))
                left = int(draws[3, b, 0].item() * (W - width + 1))
                expected[top : top + height, left : left + width] = draws[4, b, 0].item() < 0.6
                tried += number
                break
        assert not (changed[b] & ~expected).any()
        assert changed[b].sum() >= 0.9 * expected.sum()  # noise is hardly ever black in all channels
    assert tried > 0
    noise = result[:, 1][changed].float()
    assert noise.mean() == pytest.approx(127.5, abs=2)
    assert noise.std() == pytest.approx(51, abs=2)
    assert (result[:, 0][changed] == 255).float().mean() == pytest.approx(0.309, abs=0.02)  # cut off, half a std above
    assert images.max() == 0


def test_jitter_changes_each_image_by_its_own_factors_within_bounds():
    flat = torch.full((B, C, H, W), 100.0)
    result = jitter(flat, generator(0, "augment"), 0.4)  # on a flat image only brightness has an effect
    levels = result[:, 0, 0, 0]
    assert torch.equal(result, levels[:, None, None, None].expand_as(result))
    assert 60 <= levels.min() < 63
    assert 137 < levels.max() <= 140
    assert torch.equal(jitter(flat, generator(0, "augment"), 0.0), flat)
    assert jitter(2 * flat, generator(0, "augment"), 0.4).max() == 255


def test_jitter_is_torchvision_s_one_factor_after_another():
    image = torch.randint(0, 256, (1, C, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    factors = 1 + 0.4 * (2 * torch.rand(3, 1, generator=generator(0, "augment")) - 1)
    expected = image
    for change, factor in zip((v2.adjust_brightness, v2.adjust_contrast, v2.adjust_saturation), factors, strict=True):
        expected = change(expected, float(factor))
    result = jitter(image.float(), generator(0, "augment"), 0.4)
    assert (result - expected.float()).abs().max() <= 3  # they round after each


def test_lighting_moves_an_image_by_one_colour_along_the_components():
    images = torch.full((4000, 3, 2, 3), 128, dtype=torch.uint8)
    moved = lighting(images, generator(0, "augment"), strength=0.1).float() - 128
    assert torch.equal(moved.amax((2, 3)), moved.amin((2, 3)))  # the same for every pixel
    colours = moved[:, :, 0, 0]
    components = torch.tensor(COMPONENTS)
    torch.testing.assert_close(components.T @ components, torch.eye(3), rtol=0, atol=1e-3)
    deviations = 255 * torch.tensor([0.2175, 0.0188, 0.0045])
    wanted = components @ torch.diag((0.1 * deviations) ** 2) @ components.T
    # Rounding to whole bytes adds a variance of 1/12; the covariance of 4000 draws is within 2/sqrt(4000) of its size.
    torch.testing.assert_close(colours.T.cov(), wanted + torch.eye(3) / 12, rtol=0.1, atol=0.2)
    along = (lighting(images, generator(1, "augment"), strength=1.0).float() - 128)[:, :, 0, 0] @ components
    torch.testing.assert_close(along.var(0), deviations**2 + 1 / 12, rtol=0.1, atol=0)
    assert torch.equal(images, torch.full_like(images, 128))
    black, again = (lighting(torch.zeros_like(images), generator(0, "augment"), strength=0.1) for _ in range(2))
    assert torch.equal(black, again)
    assert black.min() == 0


def test_each_image_s_hue_turns_by_its_own_angle_as_torchvision_turns_it():
    images = torch.randint(0, 256, (40, C, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    turns = 0.2 * (2 * torch.rand(40, generator=generator(0, "augment")) - 1)
    result = turn_hue(images, generator(0, "augment"), strength=0.2)
    expected = torch.stack([v2.adjust_hue(image, float(turn)) for image, turn in zip(images, turns, strict=True)])
    assert (result.int() - expected.int()).abs().max() <= 1  # rounded, where torchvision cuts off
    assert all(torch.equal(end(result, dim=1), end(images, dim=1)) for end in (torch.amax, torch.amin))
    grey = images[:, :1].expand_as(images)
    assert torch.equal(turn_hue(grey, generator(0, "augment"), strength=0.2), grey)
    assert torch.equal(turn_hue(images, generator(0, "augment"), strength=0.0), images)
