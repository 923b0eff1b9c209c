"""MergeMix: token merging by plain loops, masks of the most attended patches, and the label."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from tests.trainables.backbones.test_deit import network, pixels
from tests.trainables.methods import small
from trainables.backbones import token_merging
from trainables.backbones.token_merging import attend, destinations, merge, merged_attention
from trainables.mixers.mergemix import mergemix
from trainables.mixers.mixed import beta, partners

B, M, N = 5, 4, 3


def merged_by_loops(keys: Tensor, merges: int) -> list[int]:
    """Return the new place of each token of one image."""
    first, second = range(0, len(keys), 2), range(1, len(keys), 2)
    best = {}
    for i in first[1:]:
        scores = [F.cosine_similarity(keys[i], keys[j], dim=0).item() for j in second]
        best[i] = (max(scores), second[scores.index(max(scores))])
    gone = sorted(best, key=lambda i: -best[i][0])[:merges]
    order = [i for i in first if i not in gone] + list(second)
    return [order.index(best[i][1] if i in gone else i) for i in range(len(keys))]


@pytest.mark.parametrize("tokens", [8, 9])
@pytest.mark.parametrize("merges", [1, 3])
def test_the_most_alike_tokens_become_one(tokens, merges):
    keys = torch.randn(4, tokens, 5, dtype=torch.float64, generator=Generator().manual_seed(0))
    place = destinations(keys, merges)
    assert place.tolist() == [merged_by_loops(rows, merges) for rows in keys]
    assert (place[:, 0] == 0).all()
    assert all(set(row) == set(range(tokens - merges)) for row in place.tolist())


def test_a_merged_token_is_the_mean_of_its_patches():
    tokens = torch.randn(1, 3, 2, dtype=torch.float64, generator=Generator().manual_seed(0))
    size = torch.tensor([[1.0, 3.0, 1.0]], dtype=torch.float64)
    merged, total = merge(tokens, size, torch.tensor([[0, 1, 1]]), 2)
    assert total.tolist() == [[1.0, 4.0]]
    torch.testing.assert_close(merged[0, 1], (3 * tokens[0, 1] + tokens[0, 2]) / 4)


def test_a_token_counts_as_often_as_it_has_patches():
    """Three equal tokens get what one of three patches gets, and no more is added to the class token."""
    block = network().stages[1]
    query = torch.randn(1, 3, 96, dtype=torch.float64, generator=Generator().manual_seed(0))
    repeated = torch.cat((query, query[:, -1:], query[:, -1:]), dim=1)
    one, _, paid = attend(block, query, torch.tensor([[1.0, 1.0, 3.0]], dtype=torch.float64))
    three, _, apart = attend(block, repeated, torch.ones(1, 5, dtype=torch.float64))
    torch.testing.assert_close(one[:, 0], three[:, 0])
    torch.testing.assert_close(paid[0, 2], apart[0, 2:].sum())


@torch.no_grad()
def test_without_merging_it_is_the_class_attention_and_with_it_few_values():
    backbone, images = network(), pixels()
    torch.testing.assert_close(merged_attention(backbone, images, 0.0), backbone.class_attention(images))
    found = merged_attention(backbone, images, 0.5)
    assert found.shape == (3, 8, 8)
    assert all(20 < row.unique().numel() <= 32 for row in found)


@pytest.mark.parametrize(("share", "merges"), [(0.0, []), (0.5, [11, 11, 10]), (0.9, [19, 19, 13])])
def test_each_block_but_the_last_merges_as_many_of_64_patches_and_at_most_every_second(share, merges, monkeypatch):
    asked = []
    monkeypatch.setattr(token_merging, "destinations", lambda keys, n: asked.append(n) or destinations(keys, n))
    merged_attention(network(), pixels(1), share)
    assert asked == merges


def attention() -> Tensor:
    return torch.rand(B, M, N, generator=Generator().manual_seed(7))


def mix(**options):
    return mergemix(small.pixels(B), Generator().manual_seed(0), attend_merged=lambda *_: attention(), **options)


def test_the_most_attended_patches_stay_by_plain_loops():
    mixed, before, seen = mix(), small.pixels(B), attention()
    rng = Generator().manual_seed(0)
    partner, lam = partners(B, rng), beta(1.0, B, rng)
    for b in range(B):
        kept = int(lam[b].item() * M * N)
        best = sorted(range(M * N), key=lambda p: -seen[b].flatten()[p])[:kept]
        for y, x in itertools.product(range(16), range(12)):
            own = (y // 4) * N + x // 4 in best
            assert torch.equal(mixed.images[b, :, y, x], before[b if own else partner[b], :, y, x])
        assert mixed.weights[b, 0].item() == pytest.approx(kept / (M * N))
    assert torch.equal(mixed.sources[:, 1], partner)


def test_the_paper_s_label_is_gaussian_and_spans_the_batch():
    drawn = mix(label="gaussian").weights[:, 0]
    rng = Generator().manual_seed(0)
    partners(B, rng)
    area = (beta(1.0, B, rng) * M * N).floor() / (M * N)
    normal = 0.5 + area * torch.randn(B, generator=rng)
    torch.testing.assert_close(drawn, (normal - normal.min()) / (normal.max() - normal.min() + 1e-5))
    assert torch.equal(mix(label="gaussian").images, mix().images)
    one = mix(per_batch=True).weights
    assert torch.equal(one, one[:1].expand_as(one))
