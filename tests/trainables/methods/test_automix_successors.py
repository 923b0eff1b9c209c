"""SAMix's and AdAutoMix's generators by plain loops, and a step of AdAutoMix by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from tests.trainables.methods.small import LABELS, B, draw_weights, method_for, pixels, require_equal_gradients
from tests.trainables.methods.test_automix_by_loops import attended, by
from trainables.methods.adversarial_masks import AdversarialBlock, counted
from trainables.methods.scenario_agnostic import SAMixBlock, mask_variance
from trainables.mixers.adautomix import adautomix, draw_three, even_near_the_ends
from trainables.mixers.samix import samix, with_mean


def enlarged(rows: list[list[Tensor]], height: int, width: int) -> Tensor:
    maps = torch.stack([torch.stack(row) for row in rows]).view(len(rows), 1, height, width)
    return F.interpolate(maps, size=(2 * height, 2 * width), mode="bilinear", align_corners=False)


@pytest.mark.parametrize("k", [0.25, 1.0, None])
def test_the_mask_of_samix_by_plain_loops(k):
    rng = Generator().manual_seed(0)
    block = SAMixBlock(4, lam_k=k).double().eval()
    draw_weights(block)
    own, other = torch.randn(2, 2, 4, 2, 3, dtype=torch.float64, generator=rng)
    lam = torch.tensor([0.2, 0.7], dtype=torch.float64)
    rows = []
    for b in range(2):
        cubic = 4 / 3 * lam[b] ** 3 - 2 * lam[b] ** 2
        bent = lam[b] if k is None else (cubic + (k + 1) * lam[b]) / (k + 1 - 2 / 3)
        places = [(y, x) for y in range(2) for x in range(3)]
        z_i = [own[b, :, y, x] * (1 + bent) for y, x in places]
        z_j = [other[b, :, y, x] * (1 + 1 - bent) for y, x in places]
        both = [torch.cat(pair) for pair in zip(z_i, z_j, strict=True)]
        first, norm, _, last = block.value
        normed = [by(first, z) * norm.weight / math.sqrt(1 + norm.eps) + norm.bias for z in z_j]
        values = [by(last, torch.where(v > 0, v, v.exp() - 1))[0] for v in normed]
        rows.append(attended([by(block.query, z) for z in both], [by(block.key, z) for z in both], values))
    require_equal_gradients(block, block(own, other, lam, (4, 6)), enlarged(rows, 2, 3).sigmoid())


def test_the_variance_of_masks():
    mask = torch.tensor([[0.0, 1.0], [0.5, 0.5]], dtype=torch.float64).view(2, 1, 1, 2)
    assert mask_variance(mask, "row").item() == pytest.approx(0.125)  # a quarter, and none
    assert mask_variance(mask + torch.tensor([0.0, 0.5]).view(2, 1, 1, 1), "batch").item() == pytest.approx(0.1875)


def test_a_mask_is_scaled_until_its_mean_is_lambda():
    mask = torch.tensor([[0.2, 0.6], [0.2, 0.6], [0.2, 0.6], [0.1, 0.3]], dtype=torch.float64).view(4, 1, 1, 2)
    lam = torch.tensor([0.8, 0.4, 0.6, 0.6], dtype=torch.float64)
    # The partner has 0.4 and should have 0.2, then 0.6: the own shares 0.8 and 0.4 become two thirds of themselves.
    # In the last row it has 0.2 and should have 0.4: the own shares become three quarters of themselves.
    rows = [[0.1, 0.3], [1 - 1.6 / 3, 1 - 0.8 / 3], [0.2, 0.6], [1 - 0.75 * 0.9, 1 - 0.75 * 0.7]]
    torch.testing.assert_close(with_mean(mask, lam).view(4, 2), torch.tensor(rows, dtype=torch.float64))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_samix_adjusts_a_share_of_the_masks_to_the_lambda_of_the_mixture(share):
    rows = 400
    own_or_partner = torch.zeros(rows, 3, 16, 12)
    own_or_partner[: rows // 2] = 1  # a mixture of 1 and 0 shows its shares
    mask = torch.linspace(0.1, 0.5, 192).view(1, 1, 16, 12).expand(rows, 1, 16, 12)
    mixed = samix(own_or_partner, Generator().manual_seed(0), mask_adjust=share, generate=lambda partner, lam: mask)
    seen = own_or_partner[:, 0, 0, 0] != own_or_partner[mixed.sources[:, 1], 0, 0, 0]
    is_own = own_or_partner[:, :1] == 1
    shown = torch.where(is_own, mixed.images[:, :1], 1 - mixed.images[:, :1]).mean(dim=(1, 2, 3))
    lam = mixed.weights[:, 0]
    seen &= (lam > 0.08) & (lam < 0.92) & ((lam - 0.7).abs() > 0.01)  # the mask gives the own image 0.7
    adjusted = (shown - lam).abs() < 1e-5
    assert ((shown - 0.7).abs() < 1e-5)[seen & ~adjusted].all()
    assert adjusted[seen].float().mean().item() == pytest.approx(share, abs=0.08 if share == 0.25 else 0)


@pytest.mark.parametrize("lam_channel", [False, True])
def test_the_masks_of_adautomix_by_plain_loops(lam_channel):
    block = AdversarialBlock(4, lam_channel).double()
    draw_weights(block)
    rng = Generator().manual_seed(0)
    maps = torch.randn(2, 3, 4, 2, 3, dtype=torch.float64, generator=rng)
    lam = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], dtype=torch.float64)
    masks = block(maps, lam, (4, 6))
    torch.testing.assert_close(masks.sum(dim=1), torch.ones(2, 4, 6, dtype=torch.float64))
    of_images = []
    for i in range(3):
        rows = []
        for b in range(2):

            def z(k, y, x, b=b):
                vector = maps[b, k, :, y, x]
                return torch.cat((vector, lam[b, k, None])) if lam_channel else vector

            places = [(y, x) for y in range(2) for x in range(3)]
            queries = [by(block.query, z(i, *p)).clamp(min=0) for p in places]
            others = [sum(by(block.key, z(j, *p)).clamp(min=0) for j in range(3) if j != i) for p in places]
            rows.append(attended(queries, others, [by(block.value, z(i, *p))[0] for p in places]))
        of_images.append(enlarged(rows, 2, 3))
    require_equal_gradients(block, masks, torch.cat(of_images, dim=1).softmax(dim=1))


@pytest.mark.parametrize(("number", "likeness", "sign"), [(2, "lowered", 1), (0, "raised", -1), (1, "lowered", 0)])
def test_a_step_of_adautomix_by_hand(number, likeness, sign):
    """Even steps work against the slow copy, odd ones for it."""
    ours, other = (
        method_for("adautomix", mixer__likeness=likeness, mixer__plain_mixing=0.25).double() for _ in range(2)
    )
    for method in (ours, other):
        draw_weights(method.block)
        method.step += number
    images, rng = pixels(dtype=torch.float64), Generator().manual_seed(0)
    loss, log = ours(images, LABELS, Generator().manual_seed(0))
    with torch.no_grad():
        maps = other.teacher.encode(images, 4)
        other.teacher.forward_features(maps, 4)

    def mixture(lam_margin):
        sources, lam = draw_three(B, 1.0, False, rng)
        masks = other.block(torch.stack([maps[sources[:, k]] for k in range(3)], dim=1), lam, (16, 12))
        rows, even = [], []
        for b in range(B):
            even_row = lam_margin and (lam[b, 0] <= lam_margin or 1 - lam[b, 0] < lam_margin)
            shares = lam[b, :, None, None].expand(3, 16, 12) if even_row else masks[b]
            rows.append(sum(shares[k] * images[sources[b, k]] for k in range(3)))
            even.append(sum(lam[b, k] * images[sources[b, k]] for k in range(3)))
        return torch.stack(rows), torch.stack(even), sources, lam

    def cross_entropy(logits, sources, lam):
        log_p = logits.log_softmax(dim=1)
        return -sum(lam[b, k] * log_p[b, LABELS[sources[b, k]]] for b in range(B) for k in range(3)) / B

    x, _, sources, lam = mixture(0.0)
    of_mixed = other.teacher(x)
    with torch.no_grad():
        for _ in range(3):  # once for each image of a mixture, which the running statistics count
            logits = other.teacher(images)
    for one, two in zip(ours.teacher.buffers(), other.teacher.buffers(), strict=True):
        torch.testing.assert_close(one, two)
    of_block = cross_entropy(of_mixed, sources, lam)
    cosine = sum(
        lam[b, k] * F.cosine_similarity(of_mixed[b], logits[sources[b, k]], dim=0) for b in range(B) for k in range(3)
    )
    assert (log["loss_block"].item(), log["likeness"].item()) == pytest.approx((of_block.item(), cosine.item() / B))
    generation = -0.3 * of_block + sign * 0.7 * cosine / B if number % 2 == 0 else of_block
    with torch.no_grad():
        x, even, sources, lam = mixture(0.03)
    wanted = generation + 0.75 * F.cross_entropy(other.heads[0](other.network.forward_features(images)), LABELS)
    wanted = wanted + 0.25 * cross_entropy(other.network(even), sources, lam)
    wanted = wanted + cross_entropy(other.network(x), sources, lam)
    torch.testing.assert_close(loss, wanted, rtol=1e-6, atol=0)
    for value in (loss, wanted):
        value.backward()
    for one, two in zip(ours.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-5, atol=1e-8)
    assert ours.block.query.weight.grad.any()
    ours.after_step(0.5)
    assert ours.step == number + 1


def test_the_masks_that_adautomix_shows_are_those_of_two_images_with_a_third_of_no_share():
    method = method_for("adautomix", mixer__lam_channel=True).double()
    draw_weights(method.block)
    images, partner = pixels(dtype=torch.float64), torch.arange(B).roll(1)
    lam = torch.linspace(0.1, 0.9, B, dtype=torch.float64)
    shown = method.shown_masks(images, partner, lam)
    maps = method.teacher.eval().encode(images, 4)
    for b in range(B):
        three = torch.stack([maps[b], maps[b - 1], maps[b - 2]])[None]
        of_label = torch.tensor([[lam[b], 1 - lam[b], 0.0]], dtype=torch.float64)
        masks = method.block(three, of_label, (16, 12))[0]
        torch.testing.assert_close(shown[b, 0], masks[1] + masks[2])


@pytest.mark.parametrize("mixer", ["automix", "samix", "adautomix"])
def test_the_convolutions_of_a_block_start_small_and_without_biases(mixer):
    convolutions = [m for m in method_for(mixer).block.modules() if isinstance(m, torch.nn.Conv2d)]
    weights = torch.cat([convolution.weight.flatten() for convolution in convolutions])
    assert weights.std().item() == pytest.approx(0.01, rel=0.06)
    assert not any(convolution.bias.any() for convolution in convolutions)


def test_the_label_has_the_drawn_shares_and_an_image_of_nearly_all_or_nothing_mixes_evenly():
    images, thirds = pixels(dtype=torch.float64), torch.full((B, 3, 16, 12), 1 / 3, dtype=torch.float64)
    mixed = adautomix(images, Generator().manual_seed(0), lam_margin=0.0, generate=lambda sources, lam: thirds)
    sources, lam = draw_three(B, 1.0, False, Generator().manual_seed(0))
    assert torch.equal(mixed.sources, sources)
    assert torch.equal(mixed.weights, lam)
    torch.testing.assert_close(mixed.images, sum(images[sources[:, k]] for k in range(3)) / 3)
    shares = torch.tensor([[0.98, 0.01, 0.01], [0.03, 0.48, 0.49], [0.96, 0.02, 0.02], [0.04, 0.48, 0.48]])
    even = even_near_the_ends(torch.full((4, 3, 1, 1), 1 / 3), shares, 0.03)
    assert torch.equal(even[:2, :, 0, 0], shares[:2])
    assert torch.equal(even[2:, :, 0, 0], torch.full((2, 3), 1 / 3))
    _, lam = draw_three(2000, 0.01, False, Generator().manual_seed(0))
    torch.testing.assert_close(lam.sum(dim=1), torch.ones(2000))  # even where all three draws are 0
    _, lam = draw_three(B, 1.0, True, Generator().manual_seed(0))
    assert torch.equal(lam, lam[:1].expand(B, 3))
    assert lam[0].unique().numel() == 3


def test_a_norm_that_averages_over_all_passes_counts_one():
    norms = nn.Sequential(nn.BatchNorm2d(1, momentum=0.5), nn.BatchNorm2d(1, momentum=None))
    with counted(norms, 3):
        for norm in norms:
            norm(torch.full((2, 1, 1, 1), 8.0))
    assert [(norm.momentum, norm.running_mean.item()) for norm in norms] == [(0.5, 7.0), (None, 8.0)]
    assert [norm.num_batches_tracked.item() for norm in norms] == [3, 1]
