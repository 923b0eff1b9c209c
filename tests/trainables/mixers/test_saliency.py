"""The batched fine-grained saliency agrees with OpenCV's own detector, image by image."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.datasets import DATASETS
from trainables.mixers.saliency import fine_grained_saliency, misread_saliency, salient_pixel


def opencv(images: Tensor) -> Tensor:
    """Return OpenCV's saliency (B, H, W) of images (B, 3, H, W), red first; OpenCV takes blue for the first."""
    detector, pixels = cv2.saliency.StaticSaliencyFineGrained_create(), images.flip(1).permute(0, 2, 3, 1).numpy()
    return torch.stack([torch.from_numpy(detector.computeSaliency(np.ascontiguousarray(i))[1]) for i in pixels])


def scenes(count: int, height: int = 16, width: int = 12) -> Tensor:
    """Return images (count, 3, H, W) uint8: noise of many scales, and a patch of another colour."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    for i, image in enumerate(images):
        image[:] = cv2.GaussianBlur(image, (0, 0), 1 + i % 4)
        y, x = rng.integers(max(1, height - 3)), rng.integers(max(1, width - 3))
        image[y : y + 3, x : x + 3] = rng.integers(0, 256, 3)
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def correlation(one: Tensor, two: Tensor) -> Tensor:
    """Return the Pearson correlation of each pair of maps, (B,)."""
    one, two = (m.flatten(1) - m.flatten(1).mean(dim=1, keepdim=True) for m in (one, two))
    return (one * two).sum(1) / (one.norm(dim=1) * two.norm(dim=1))


@pytest.mark.parametrize(
    ("height", "width"), [(16, 12), (32, 32), (17, 33), (5, 7), (64, 48), (130, 250), (1, 12), (12, 1)]
)
def test_it_is_opencvs_to_the_last_bit(height, width):
    images = scenes(12, height, width)
    torch.testing.assert_close(fine_grained_saliency(images), opencv(images), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_it_is_opencvs_on_photographs_to_the_last_bit():
    images = DATASETS["cifar10"].load(Path(__file__).parents[3] / "data").test.images[:1000]
    torch.testing.assert_close(fine_grained_saliency(images), opencv(images), rtol=0, atol=1e-6)


def test_flat_black_and_white_images():
    images = torch.tensor([0, 77, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 3, 16, 12)
    assert torch.equal(fine_grained_saliency(images), torch.zeros(3, 16, 12))
    assert torch.equal(opencv(images), torch.zeros(3, 16, 12))


def test_floats_in_0_to_1_are_read_as_bytes_without_a_gradient():
    images = scenes(4)
    for dtype in (torch.float32, torch.float64):
        found = fine_grained_saliency((images.to(dtype) / 255).requires_grad_())
        assert torch.equal(found, fine_grained_saliency(images))
        assert not found.requires_grad


def test_one_channel_is_the_brightness_itself():
    images = scenes(4)[:, :1]
    expected = opencv(images.expand(-1, 3, -1, -1))  # equal channels: the same grey
    torch.testing.assert_close(fine_grained_saliency(images), expected, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="1 or 3 channels, got 4"):
        fine_grained_saliency(torch.zeros(1, 4, 16, 12))


def test_the_salient_pixel_is_the_first_maximum():
    saliency = torch.zeros(2, 16, 12)
    saliency[0, 9, 5] = saliency[0, 9, 7] = saliency[1, 3, 11] = 1
    row, column = salient_pixel(saliency)
    assert (row.tolist(), column.tolist()) == ([9, 3], [5, 11])


def test_floats_misread_as_bytes_are_opencvs_and_tell_nothing():
    """SaliencyMix's release gives OpenCV normalised floats, red first. Rounding alone moves the lowest bytes."""
    images = scenes(40, 32, 32)
    normalised = (images.float() / 255 - 0.5) / 0.25
    misread = misread_saliency(normalised)
    same = (misread - opencv(normalised.flip(1))).abs() < 1 / 510  # both are in steps of 1/255
    assert same.float().mean(dim=(1, 2)).min() > 0.5
    assert correlation(misread, fine_grained_saliency(images)).mean().abs() < 0.1
