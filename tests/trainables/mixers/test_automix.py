"""AutoMix's mixtures for given masks, where these are even, and its random grids."""

import pytest
import torch
from torch import Generator, Tensor

from tests.trainables.methods.small import B, pixels
from trainables.mixers.adautomix import draw_three
from trainables.mixers.adautomix import even_near_the_ends as even_of_three
from trainables.mixers.automix import automix, draw, even_near_the_ends, random_grids
from trainables.mixers.mixed import beta, itself_and_partners


def left_half(partner: Tensor, lam: Tensor) -> Tensor:
    return (torch.arange(12) < 6).float().expand(len(partner), 1, 16, 12)


def test_the_mask_is_the_partners_share_and_the_label_the_drawn_lambda_near_whose_ends_all_is_even():
    images = pixels()
    mixed = automix(images, Generator().manual_seed(2), lam_margin=0.3, generate=left_half)
    partner, lam = draw(B, 2.0, False, Generator().manual_seed(2))
    assert torch.equal(mixed.sources[:, 1], partner)
    assert torch.equal(mixed.weights[:, 0], lam)
    assert len(lam.unique()) == B
    near = (lam <= 0.3) | (lam >= 0.7)
    assert 0 < near.sum() < B
    even = torch.lerp(images[partner], images, lam.view(-1, 1, 1, 1))
    torch.testing.assert_close(mixed.images[near], even[near])
    halves = torch.cat((images[partner][..., :6], images[..., 6:]), dim=3)
    assert torch.equal(mixed.images[~near], halves[~near])
    assert torch.equal(images, pixels())
    weights = automix(images, Generator().manual_seed(0), per_batch=True, generate=left_half).weights
    assert torch.equal(weights, weights[:1].expand_as(weights))


def test_the_margin_of_a_mask_is_that_of_the_codes():
    """AutoMix's includes both ends, AdAutoMix's the lower one alone."""
    lam = torch.tensor([0.25, 0.26, 0.74, 0.75])
    of_pairs = even_near_the_ends(torch.full((4, 1, 1, 1), 2.0), lam, 0.25)
    assert of_pairs.flatten().tolist() == [0.75, 2.0, 2.0, 0.25]
    of_three = even_of_three(torch.full((4, 1, 1, 1), 2.0), lam[:, None], 0.25)
    assert of_three.flatten().tolist() == [0.25, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("per_batch", [False, True])
def test_the_shares_of_adautomix_are_three_draws_over_their_sum(per_batch):
    sources, shares = draw_three(B, 0.5, per_batch, Generator().manual_seed(0))
    rng = Generator().manual_seed(0)
    assert torch.equal(sources, itself_and_partners(B, 2, rng))
    drawn = torch.stack([beta(0.5, 1 if per_batch else B, rng) for _ in range(3)], dim=1)
    torch.testing.assert_close(shares, (drawn / drawn.sum(dim=1, keepdim=True)).expand(B, 3))


def test_a_derangement_mixes_no_row_with_itself():
    drawn = [draw(B, 2.0, False, Generator().manual_seed(seed), derangement=True)[0] for seed in range(60)]
    assert all(sorted(partner.tolist()) == list(range(B)) for partner in drawn)
    assert not any((partner == torch.arange(B)).any() for partner in drawn)
    assert {int(partner[0]) for partner in drawn} == set(range(1, B))
    mixed = automix(pixels(), Generator().manual_seed(0), derangement=True, generate=left_half)
    assert torch.equal(mixed.sources[:, 1], drawn[0])
    assert draw(1, 2.0, False, Generator(), derangement=True)[0].tolist() == [0]
    usual = [draw(B, 2.0, False, Generator().manual_seed(seed))[0] for seed in range(60)]
    assert any((partner == torch.arange(B)).any() for partner in usual)


def test_random_grids_give_the_partner_as_many_cells_as_lambda_says():
    lam = torch.tensor([0.0, 0.25, 0.7, 0.72, 1.0])
    masks, others = (random_grids(lam, (4, 3), (16, 12), Generator().manual_seed(seed)) for seed in (0, 1))
    cells = masks[..., ::4, ::4]  # (5, 1, 4, 3)
    assert torch.equal(masks, cells.repeat_interleave(4, 2).repeat_interleave(4, 3))
    assert cells.sum(dim=(2, 3)).tolist() == [[12], [9], [4], [3], [0]]  # the nearest to 12, 9, 3.6, 3.36 and 0
    assert not torch.equal(masks[1:4], others[1:4])
