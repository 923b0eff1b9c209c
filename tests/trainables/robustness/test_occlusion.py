"""Occlusion by hand: patches, masks and the accuracy under them."""

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.seeded import seeded
from trainables.mixers.saliency import fine_grained_saliency
from trainables.robustness.occlusion import (
    SHARES,
    area_under_curve,
    default_patch_size,
    mask,
    masking_ranks,
    occlusion_accuracy,
    patch_of_pixel,
)


def occlude(model: nn.Module, images: Tensor, labels: Tensor, side: int = 4, size: int = 6, **options) -> Tensor:
    """Return the accuracy on ``images`` in batches of ``size``, with patches of ``side`` pixels."""
    batches = zip(images.split(size), labels.split(size), strict=True)
    return occlusion_accuracy(model, batches, len(images), patch_of_pixel(16, 12, side), **options)


class Recorder(nn.Module):
    """Sees class 1 where at least half of the image is visible (not black), else class 0, and keeps what it saw."""

    def __init__(self):
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images):
        assert not self.training
        self.seen.append(images.clone())
        visible = (images.amax(1) > 0).float().mean((1, 2))
        return torch.stack((torch.full_like(visible, 0.5), visible), 1)


def test_patch_numbers_by_hand_on_an_oblong_image():
    assert patch_of_pixel(3, 5, 2).tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
    assert patch_of_pixel(2, 3, 1).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert patch_of_pixel(2, 3, 2).tolist() == [[0, 0, 1], [0, 0, 1]]
    # Patches are of 16 pixels in photographs, and of 4 in CIFAR's images.
    assert [default_patch_size(side) for side in (224, 32, 64, 28)] == [16, 4, 8, 3]
    assert patch_of_pixel(224, 224, 16).max() == 14 * 14 - 1
    for height, width, side in ((16, 12, 0), (16, 12, 13), (12, 16, 13)):
        with pytest.raises(ValueError, match=f"patch_size must be between 1 and 12 pixels, got {side}"):
            patch_of_pixel(height, width, side)


def test_mask_by_hand():
    images = torch.ones(2, 3, 2, 4)
    patches = patch_of_pixel(2, 4, 2)  # left half 0, right half 1
    fill = torch.tensor([0.1, 0.2, 0.3])
    wanted = images.clone()
    wanted[0, :, :, :2] = wanted[1, :, :, 2:] = fill[:, None, None]
    assert torch.equal(mask(images, patches, torch.tensor([[0, 1], [1, 0]]), 50, fill), wanted)
    assert (images == 1).all()


def test_accuracy_falls_at_the_share_that_is_counted_by_hand():
    model = Recorder().train()
    labels = torch.tensor([1, 1, 1, 0])
    accuracy = occlude(model, torch.ones(4, 3, 16, 12), labels, rng=seeded(), draws=2)
    # 12 patches; at 50 % six are visible, exactly half: a tie, which argmax gives to class 0.
    assert accuracy.tolist() == [[75.0] * 5 + [25.0] * 6] * 2
    assert model.training
    masked = [12 * 16 * (images[0, 0] == 0).float().mean() / 16 for images in model.seen[: len(SHARES)]]
    assert masked == [0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12]


def test_everything_masked_is_one_colour_and_nothing_masked_is_the_image():
    model = Recorder()
    images = torch.rand(3, 3, 16, 12, generator=seeded())
    occlude(model, images, torch.zeros(3), rng=seeded(), fill=(0.5, 0.25, 0.125), draws=1)
    assert torch.equal(model.seen[0], images)
    assert torch.equal(model.seen[-1], torch.tensor([0.5, 0.25, 0.125])[:, None, None].expand(3, 3, 16, 12))


def test_masks_are_of_each_image_grow_and_are_the_same_for_every_model_and_batch_size():
    whole, split = Recorder(), Recorder()
    for model, size in ((whole, 6), (split, 3)):
        occlude(model, torch.ones(6, 1, 16, 12), torch.zeros(6), size=size, rng=seeded(3), draws=2)
    seen = torch.stack(whole.seen).view(2, 11, 6, 16, 12)
    in_batches = torch.stack(split.seen).view(2, 2, 11, 3, 16, 12)  # batch, draw, share
    assert torch.equal(in_batches.permute(1, 2, 0, 3, 4, 5).reshape(seen.shape), seen)
    assert (seen.diff(dim=1) <= 0).all()
    half = seen[:, 5].flatten(2)
    assert len(half.flatten(0, 1).unique(dim=0)) == 12  # no two images, and no two draws, have the same mask


@pytest.mark.parametrize("side", [4, 5])  # those of 5 pixels are cut at the far borders
def test_saliency_orders_follow_the_mean_saliency_of_the_patches(side):
    images = torch.rand(2, 3, 16, 12, generator=seeded(1))
    saliency = fine_grained_saliency(images)
    corners = [(row, column) for row in range(0, 16, side) for column in range(0, 12, side)]
    means = [[float(m[r : r + side, c : c + side].mean()) for r, c in corners] for m in saliency]
    patches, chance = patch_of_pixel(16, 12, side), torch.rand(2, 12, generator=seeded())
    first = masking_ranks(images, patches, "salient", chance)
    last = masking_ranks(images, patches, "non_salient", chance)
    for row, mean in enumerate(means):
        assert len(set(mean)) == 12
        assert [mean[patch] for patch in first[row].argsort()] == sorted(mean, reverse=True)
        assert last[row].tolist() == (11 - first[row]).tolist()


def test_equally_salient_patches_are_masked_in_random_order():
    patches, chance = patch_of_pixel(16, 12, 4), torch.rand(2, 12, generator=seeded())
    ranks = masking_ranks(torch.full((2, 3, 16, 12), 0.5), patches, "salient", chance)
    assert torch.equal(ranks, masking_ranks(torch.rand(2, 3, 16, 12), patches, "random", chance))
    assert ranks.sort(1).values.tolist() == [list(range(12))] * 2


def test_area_by_hand():
    assert area_under_curve(torch.tensor([[100.0, 50, 0], [80, 80, 80]]), (0, 50, 100)).tolist() == [50, 80]
    assert area_under_curve(torch.tensor([100.0, 0, 0]), (0, 10, 100)).item() == pytest.approx(5)
    assert area_under_curve(torch.tensor([80.0, 60]), (50, 100)).item() == pytest.approx(70)
