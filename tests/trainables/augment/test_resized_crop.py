"""Boxes and resizing agree with torchvision. Images are 16x12, so that a swapped axis fails."""

import pytest
import torch
import torch.nn.functional as F

from trainables.augment.resized_crop import DRAWS, cut, random_boxes, random_resized_crop, resize
from trainables.seeds import generator

B, C, H, W = 7, 3, 16, 12
IMAGES = torch.randint(0, 256, (B, C, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
BOXES = torch.tensor(
    [[0, 0, 16, 12], [1, 2, 10, 5], [3, 3, 4, 9], [0, 0, 1, 1], [15, 11, 1, 1], [0, 11, 16, 1], [4, 4, 8, 8]]
)


@pytest.mark.parametrize("size", [(7, 9), (32, 40), (16, 12), (3, 30)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_each_row_is_its_box_resized_as_torchvision_does(size, interpolation):
    result = cut(IMAGES, BOXES, size, interpolation)
    assert result.dtype == torch.uint8
    for found, image, (top, left, height, width) in zip(result, IMAGES, BOXES.tolist(), strict=True):
        box = image[None, :, top : top + height, left : left + width].float()
        (expected,) = F.interpolate(box, size, mode=interpolation, antialias=True).clamp(0, 255)
        assert (found - expected).abs().max() < 0.51  # rounded


def test_resizing_to_the_own_size_changes_nothing():
    for interpolation in "bilinear", "bicubic":
        assert torch.equal(resize(IMAGES, (H, W), interpolation), IMAGES)


def test_boxes_have_the_distribution_of_torchvision_s():
    from torchvision.transforms import RandomResizedCrop

    draws = torch.rand(2000, DRAWS, generator=generator(0, "boxes"))
    ours = random_boxes(draws, torch.tensor(90), torch.tensor(120), 0.25).double()
    torch.manual_seed(0)
    image = torch.empty(3, 90, 120)
    params = [RandomResizedCrop.get_params(image, (0.25, 1), (3 / 4, 4 / 3)) for _ in range(2000)]
    theirs = torch.tensor(params).double()
    # The standard error of a mean of 2,000 is below 0.6 pixels.
    assert (ours.mean(0) - theirs.mean(0)).abs().max() < 2
    assert (ours.std(0) - theirs.std(0)).abs().max() < 1.5


@pytest.mark.parametrize(
    ("size", "area", "shape", "box"),
    [
        ((100, 100), 0.3, 0.5, [40, 40, 60, 60]),  # area 0.08 + 0.92 * 0.3 = 0.356; the root of 3560 is 59.7
        ((100, 100), 0.3, 0.0, [31, 48, 69, 52]),  # at 3:4, the roots of 3560 / 0.75 and of 3560 * 0.75
        ((100, 100), 0.0, 0.5, [72, 72, 28, 28]),  # the root of 800 is 28.3
        ((100, 41), 0.9, 0.5, [22, 0, 55, 41]),  # the root of 3723 does not fit; 41 / 0.75 is 54.7
        ((41, 100), 0.9, 0.5, [0, 22, 41, 55]),
        ((10, 100), 1.0, 1.0, [0, 43, 10, 13]),  # nearly all of it, at 4:3
        ((100, 10), 1.0, 1.0, [43, 0, 13, 10]),
    ],
)
def test_a_box_by_hand(size, area, shape, box):
    """All tries are alike; where they do not fit, the largest box of an allowed shape is cut from the middle."""
    draws = torch.zeros(1, DRAWS)
    draws[0, 0:-2:2], draws[0, 1:-2:2] = area, shape
    draws[0, -2:] = 0.99
    found = random_boxes(draws, torch.tensor(size[0]), torch.tensor(size[1]), 0.08)
    assert found.tolist() == [box]


def test_the_first_box_that_fits_is_taken():
    draws = torch.full((1, DRAWS), 0.999)
    draws[0, 4], draws[0, 5] = 0.0, 0.5  # the third try: the smallest area, square
    draws[0, -2:] = 0.0
    assert random_boxes(draws, torch.tensor(100), torch.tensor(100), 0.25).tolist() == [[0, 0, 50, 50]]


def test_a_random_crop_differs_by_row_and_is_replayed_by_its_seed():
    alike = IMAGES[:1].expand(B, C, H, W)
    crops, again, other = (random_resized_crop(alike, generator(seed, "augment"), size=9) for seed in (0, 0, 1))
    assert crops.shape == (B, C, 9, 9)
    assert len(crops.unique(dim=0)) == B
    assert torch.equal(crops, again)
    assert not torch.equal(crops, other)
