"""A training keeps this for its figures: some images, and their masks after some epochs."""

import pytest
import torch
from torch import Generator, Tensor

from tests.trainables.methods.small import method_for
from trainables.methods.mixture_album import LAMBDAS, SHOWN, Album


def test_pictures_are_taken_at_the_end_of_even_epochs():
    asked = []

    def own_share(shown: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
        assert partner.tolist() == [5, 0, 1, 2, 3, 4]
        torch.testing.assert_close(shown, images[:SHOWN], rtol=0, atol=0.51 / 255)
        asked.append(lam[0].item())
        return (1 - lam).view(-1, 1, 1, 1).expand(len(shown), 1, *shown.shape[2:])

    album = Album((3, 32, 24), epochs=111)  # of which rounding would miss three
    assert len(album.due) == 8
    assert album.due[-1] == 111
    images = torch.rand(9, 3, 32, 24, generator=Generator().manual_seed(0))
    album.see(images)
    album.see(images.flip(0))
    assert torch.equal(album.images, (images[:SHOWN] * 255).round().to(torch.uint8))
    for step in range(1, 25 * 111 + 1):  # 25 steps an epoch
        album.take(step / (25 * 111), own_share)
    assert album.epochs.tolist() == album.due
    assert asked == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9] * 8)  # once for each picture
    assert album.masks.shape == (8, len(LAMBDAS) * SHOWN, 16, 16)
    assert album.masks[0, ::SHOWN, 0, 0].tolist() == [230, 178, 128, 76, 26]  # 255 times what lambda leaves
    assert Album((3, 32, 32), epochs=3).due == [1, 2, 3]
    assert Album((3, 14, 12), epochs=3).masks.shape == (3, len(LAMBDAS) * SHOWN, 14, 12)


@pytest.mark.parametrize("mixer", ["automix", "samix", "adautomix"])
def test_a_training_keeps_them_and_nothing_else_changes(mixer):
    method = method_for(mixer, epochs=2)
    images, labels = torch.rand(6, 3, 32, 32, generator=Generator().manual_seed(0)), torch.arange(6)
    method(images, labels, Generator().manual_seed(0))
    assert method.album.images.any()
    before = {name: value.clone() for name, value in method.teacher.state_dict().items()}
    method.album.take(0.5, method.shown_masks)
    assert all(torch.equal(value, before[name]) for name, value in method.teacher.state_dict().items())
    assert all(module.training for module in method.modules())
    assert method.album.epochs.tolist() == [1, 0]
    assert 0 < method.album.masks[0].float().mean() < 255
    assert method.also_saved["mixtures"] is method.album
    method.after_step(1.0)
    assert method.album.epochs.tolist() == [1, 2]
