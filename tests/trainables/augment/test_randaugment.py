"""Each operation agrees with Pillow, one image at a time; then batches are tested. Images are 24x20."""

from dataclasses import replace

import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from tests.trainables.pillow import as_pillow, as_tensor
from trainables.augment.randaugment import POLICIES, Drawn, apply, draw, rand_augment
from trainables.datasets.data_config import AugmentConfig
from trainables.seeds import generator

B, C, H, W = 6, 3, 24, 20
MEAN = (0.5, 0.4, 0.3)
INCREASING = AugmentConfig(randaugment="increasing")
FILL = (128, 102, 76)  # 255 times that, rounded; 76.5 to even


def pictures(low=0, high=256):
    """Return smooth images, so that small differences of interpolation stay small, with few values at the edges."""
    coarse = torch.randint(low, high, (B, C, 6, 5), generator=torch.Generator().manual_seed(1)).float()
    return torch.nn.functional.interpolate(coarse, (H, W), mode="bilinear").round().to(torch.uint8)


def run(name, level, sign, policy="increasing"):
    """Send every image through one operation."""
    place = POLICIES[policy].operations.index(name)
    drawn = Drawn(torch.full((B,), place), torch.full((B,), level), torch.full((B,), sign))
    return apply(pictures(20, 200).float(), POLICIES[policy], drawn, MEAN)


def by_pillow(function):
    return torch.stack([as_tensor(function(as_pillow(image))) for image in pictures(20, 200)])


def affine(*matrix):
    how = (W, H), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    return lambda image: image.transform(*how, fillcolor=FILL)


@pytest.mark.parametrize(
    ("name", "policy", "level", "sign", "function"),
    [
        ("autocontrast", "increasing", 0.7, 1.0, ImageOps.autocontrast),
        ("equalize", "increasing", 0.7, 1.0, ImageOps.equalize),
        ("invert", "increasing", 0.7, 1.0, ImageOps.invert),
        ("solarize", "increasing", 0.7, 1.0, lambda image: ImageOps.solarize(image, 256 - 179)),
        ("solarize", "fixmatch", 1.0, 1.0, ImageOps.invert),
        ("posterize", "increasing", 0.7, 1.0, lambda image: ImageOps.posterize(image, 2)),
        ("posterize", "fixmatch", 0.7, 1.0, lambda image: ImageOps.posterize(image, 6)),  # int(6.8), as in OpenMixup
        ("posterize", "fixmatch", 1.0, 1.0, lambda image: image),
        ("solarize_add", "increasing", 0.7, 1.0, lambda image: image.point(lambda v: v + 77 * (v < 128))),
        ("brightness", "increasing", 0.5, 1.0, lambda image: ImageEnhance.Brightness(image).enhance(1.45)),
        ("brightness", "fixmatch", 1.0, -1.0, lambda image: ImageEnhance.Brightness(image).enhance(0.05)),
        ("contrast", "increasing", 0.5, -1.0, lambda image: ImageEnhance.Contrast(image).enhance(0.55)),
        ("color", "increasing", 1.0, 1.0, lambda image: ImageEnhance.Color(image).enhance(1.9)),
        ("sharpness", "increasing", 1.0, 1.0, lambda image: ImageEnhance.Sharpness(image).enhance(1.9)),
        ("sharpness", "increasing", 1.0, -1.0, lambda image: ImageEnhance.Sharpness(image).enhance(0.1)),
    ],
)
def test_values_are_pillow_s(name, policy, level, sign, function):
    result = run(name, level, sign, policy)
    assert torch.equal(result, by_pillow(function))
    assert torch.equal(result, result.round())


@pytest.mark.parametrize(
    ("name", "level", "sign", "function"),
    [
        ("translate_x", 1.0, 1.0, affine(1, 0, 9, 0, 1, 0)),  # 0.45 of 20 pixels
        ("translate_y", 1.0, -1.0, affine(1, 0, 0, 0, 1, -10.8)),
        ("shear_x", 1.0, 1.0, affine(1, 0.3, 0, 0, 1, 0)),
        ("shear_y", 1.0, -1.0, affine(1, 0, 0, -0.3, 1, 0)),
        ("rotate", 1.0, 1.0, lambda image: image.rotate(30, Image.Resampling.BILINEAR, fillcolor=FILL)),
        ("rotate", 0.5, -1.0, lambda image: image.rotate(-15, Image.Resampling.BILINEAR, fillcolor=FILL)),
    ],
)
def test_moves_are_pillow_s(name, level, sign, function):
    difference = (run(name, level, sign) - by_pillow(function)).abs()
    assert (difference > 2).float().mean() < 0.02  # where a pixel lies on the border, either may be right


def test_fixmatch_has_14_operations_and_the_other_15_and_shifts_further():
    found = {name: (len(set(policy.operations)), policy.translation) for name, policy in POLICIES.items()}
    assert found == {"fixmatch": (14, 0.3), "increasing": (15, 0.45)}


@pytest.mark.parametrize("policy", POLICIES)
def test_an_image_with_nothing_drawn_is_unchanged_beside_others(policy):
    noise = torch.randint(0, 256, (B, C, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for place, name in enumerate(POLICIES[policy].operations):
        operation = torch.tensor([place, -1, place, -1, place, -1])
        drawn = Drawn(operation, torch.full((B,), 0.5), torch.ones(B))
        result = apply(noise.float(), POLICIES[policy], drawn, MEAN)
        assert torch.equal(result[1::2], noise[1::2].float()), name
        assert torch.equal(result[::2], noise[::2].float()) == (name == "identity"), name


@pytest.mark.parametrize("policy", POLICIES)
def test_images_do_not_see_each_other(policy):
    images = pictures()
    for place in range(len(POLICIES[policy].operations)):
        drawn = Drawn(torch.full((B,), place), torch.linspace(0.1, 1, B), torch.tensor([1.0, -1.0] * 3))
        together = apply(images.float(), POLICIES[policy], drawn, MEAN)
        for row in (1, 4):
            of_row = Drawn(*(each[row : row + 1] for each in drawn))
            alone = apply(images[row : row + 1].float(), POLICIES[policy], of_row, MEAN)
            assert torch.equal(alone[0], together[row])


def test_operations_levels_and_signs_are_drawn_by_the_policy():
    drawn = draw(6000, POLICIES["fixmatch"], generator(0, "augment"), level=7.0, level_std=0.5)
    assert (drawn.operation == -1).float().mean() == pytest.approx(0.5, abs=0.03)
    carried_out = drawn.operation[drawn.operation >= 0]
    assert carried_out.bincount().tolist() == pytest.approx([3000 / 14] * 14, abs=60)
    assert drawn.level.mean() == pytest.approx(0.7, abs=0.005)
    assert drawn.level.std() == pytest.approx(0.05, abs=0.005)
    assert drawn.sign[drawn.operation >= 0].mean() == pytest.approx(0, abs=0.07)
    assert draw(6000, POLICIES["fixmatch"], generator(0, "augment"), 9.8, 0.5).level.max() == 1.0


def test_a_batch_has_as_many_rounds_as_operations_by_its_seed_and_its_argument_is_left_alone():
    images, policy = pictures(), POLICIES["increasing"]
    before, rounds = images.clone(), generator(0, "augment")
    first, other = (
        rand_augment(images, generator(seed, "augment"), options=replace(INCREASING, operations=3), mean=MEAN)
        for seed in (0, 1)
    )
    assert torch.equal(images, before)
    expected = images.float()
    for _ in range(3):
        expected = apply(expected, policy, draw(B, policy, rounds, 9.0, 0.5), MEAN)
    assert first.dtype == torch.uint8
    assert torch.equal(first, expected)
    assert not torch.equal(first, other)


def test_grey_images_stay_grey():
    grey = pictures()[:, :1]
    result = rand_augment(grey, generator(0, "augment"), options=replace(INCREASING, operations=5), mean=(0.3,))
    assert result.shape == grey.shape
