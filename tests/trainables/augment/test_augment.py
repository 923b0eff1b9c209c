"""Images are 16x12, and their pixels encode their own position, so that a swapped axis or channel fails."""

import math
from functools import partial
from typing import Any

import pytest
import torch

from tests.trainables.seeded import seeded
from trainables.augment.crop_and_flip import crop_and_flip, flip, windows
from trainables.augment.pipeline import augmentation
from trainables.augment.random_erasing import random_erasing
from trainables.augment.resized_crop import random_resized_crop, resize
from trainables.config import parse
from trainables.datasets import DATASETS
from trainables.datasets.opening import dataset_of

CIFAR10 = DATASETS["cifar10"]

B, C, H, W = 40, 3, 16, 12


def places(batch=B, dtype=torch.uint8):
    """Return (B, C, H, W) with a different value at every position of an image, and different images in each row."""
    image = torch.arange(C * H * W).view(C, H, W)
    return ((image + 7 * torch.arange(batch)[:, None, None, None]) % 251).to(dtype)


def by_hand(image, down, right, mirrored, mode):
    """Pad an image by four pixels, crop and mirror it."""
    padded = torch.nn.functional.pad(image.float(), [4] * 4, "reflect" if mode == "reflect" else "constant")
    window = padded[:, 4 + down : 4 + down + H, 4 + right : 4 + right + W].to(image.dtype)
    return window.flip(2) if mirrored else window


@pytest.mark.parametrize("mode", ["reflect", "zeros"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_windows_are_those_cut_by_hand(mode, channels_last):
    images = places()
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    down, right = torch.randint(-4, 5, (2, B), generator=seeded())
    mirrored = torch.rand(B, generator=seeded(1)) < 0.5
    moved = windows(images, down, right, mirrored, mode=mode)
    for b in range(B):
        assert torch.equal(moved[b], by_hand(images[b], int(down[b]), int(right[b]), bool(mirrored[b]), mode)), b


def test_draws_are_uniform_and_independent():
    n = 20_000
    images = torch.zeros(n, 2, H, W, dtype=torch.uint8)
    images[:, 0] = torch.arange(H, dtype=torch.uint8)[:, None]  # a pixel's row
    images[:, 1] = torch.arange(W, dtype=torch.uint8)  # the pixel's column
    moved = crop_and_flip(images, seeded()).long()
    down = moved[:, 0, 8, 6] - 8
    mirrored = moved[:, 1, 6, 6] < moved[:, 1, 6, 5]
    right = moved[:, 1, 6, 5] - torch.where(mirrored, W - 1 - 5, 5)
    cell = ((down + 4) * 9 + (right + 4)) * 2 + mirrored  # 9 * 9 * 2 equally likely cells
    counts, expected = cell.bincount(minlength=162).double(), n / 162
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    assert len(counts) == 162
    assert abs(chi_squared - 161) < 4 * math.sqrt(2 * 161)
    for half in (mirrored, flip(images, seeded())[:, 1, 0, 0] > 0):
        assert abs(float(half.double().mean()) - 0.5) < 4 * 0.5 / math.sqrt(n)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("mode", ["reflect", "zeros"])
def test_an_image_is_one_window_of_its_own_and_dtype_and_input_are_kept(dtype, mode):
    images, shifts = places(dtype=dtype), torch.arange(-4, 5)
    before = images.clone()
    moved = crop_and_flip(images, seeded(), mode=mode)
    down, right, mirrored = torch.cartesian_prod(shifts, shifts, torch.arange(2)).T
    possible = windows(images[:1].expand(len(down), C, H, W), down, right, mirrored.bool(), mode=mode)
    assert (possible == moved[0]).flatten(1).all(dim=1).sum() == 1
    assert (moved.dtype, moved.shape) == (dtype, images.shape)
    assert moved.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)
    moved.zero_()
    assert torch.equal(images, before)  # no shared memory, even for an image that was not moved
    assert crop_and_flip(images[:, :, :4, :3], seeded(), mode=mode).shape == (B, C, 4, 3)  # smaller than its padding


LINEAR: dict[str, Any] = {"interpolation": "bilinear"}
ERASE = partial(random_erasing, probability=1.0, mean=CIFAR10.mean, std=CIFAR10.std)
CROP = partial(random_resized_crop, size=32, scale=0.5, **LINEAR)


@pytest.mark.parametrize(
    ("keys", "steps"),
    [
        ({"augment.padding": "zeros"}, [partial(crop_and_flip, mode="zeros")]),
        ({"augment": "flip"}, [flip]),
        ({"augment": "rrc_flip", "augment.scale": 0.5, **LINEAR}, [CROP, flip]),
        ({"augment": "none", "image_size": 48, **LINEAR}, [lambda images, _: resize(images, (48, 48), **LINEAR)]),
        ({"augment.erasing": 1.0}, [crop_and_flip, ERASE]),
    ],
)
def test_the_keys_reach_the_steps_of_which_workers_crop_and_mirror(keys, steps):
    config, rng = parse({"dataset": "cifar10", **keys}), seeded()
    images = torch.randint(0, 256, (B, 3, 32, 32), dtype=torch.uint8, generator=seeded())
    augment = partial(augmentation, config, dataset_of(config))
    if config.augment in ("flip", "rrc_flip"):
        assert torch.equal(augment(streamed=True, own_size=True)(images, seeded()), images)
    found = augment(streamed=False, own_size=config.side == 32)(images, seeded())
    for step in steps:
        images = step(images, rng)
    assert torch.equal(found, images)
