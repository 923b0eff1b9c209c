"""CutMix pastes images of 32 bits in the memory of a processor box by box, and all others by a mask."""

import pytest
import torch
from torch import Generator

from trainables.mixers.cutmix import cutmix


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("per_batch", [False, True])
def test_both_ways_give_the_same_images(order, per_batch):
    given = torch.rand(24, 3, 16, 12, generator=Generator().manual_seed(11)).contiguous(memory_format=order)
    images = given.clone()
    by_box = cutmix(images, Generator().manual_seed(1), per_batch=per_batch)
    by_mask = cutmix(images.clone().requires_grad_(), Generator().manual_seed(1), per_batch=per_batch)
    assert torch.equal(by_box.images, by_mask.images)
    assert torch.equal(by_box.weights, by_mask.weights)
    assert by_box.images.stride() == images.stride()
    assert torch.equal(images, given)
