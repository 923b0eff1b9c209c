"""AutoMix's mask, its loss, and a whole step of it by plain loops over Eq. 4 to 12 of its paper."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from tests.trainables.methods.small import LABELS, B, draw_weights, method_for, pixels, require_equal_gradients
from trainables.losses.mix_block import MixBlock, mask_loss, mask_weight_at
from trainables.mixers.automix import draw


def attended(query: list[Tensor], keys: list[Tensor], values: list[Tensor]) -> list[Tensor]:
    seen = []
    for vector in query:
        scores = [torch.exp(vector @ key / math.sqrt(len(vector))) for key in keys]
        seen.append(sum(s * v for s, v in zip(scores, values, strict=True)) / sum(scores))
    return seen


def by(conv: torch.nn.Conv2d, vector: Tensor) -> Tensor:
    """Return what a convolution of one pixel makes of a vector."""
    return conv.weight[:, :, 0, 0] @ vector + conv.bias


def mask_by_loops(block: MixBlock, own: Tensor, other: Tensor, lam: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the partner's share, (B, 1, H, W), by Eq. 4 to 6 position by position, with gradient."""
    rows, _, height, width = own.shape
    masks = []
    for b in range(rows):

        def at(maps: Tensor, y: int, x: int, share: Tensor, b: int = b) -> Tensor:
            vector = maps[b, :, y, x]
            return torch.cat((vector, share[None])) if block.lam_channel else vector

        positions = [(y, x) for y in range(height) for x in range(width)]
        z_i = [at(own, y, x, lam[b]) for y, x in positions]
        z_j = [at(other, y, x, 1 - lam[b]) for y, x in positions]
        valued = z_j if block.value_of == "key" else z_i
        query, keys = ([by(block.embed, vector) for vector in z] for z in (z_i, z_j))
        sigma = [1 / (1 + torch.exp(-seen)) for seen in attended(query, keys, [by(block.value, v)[0] for v in valued])]
        small = sigma if block.value_of == "key" else [1 - share for share in sigma]
        places = itertools.product(range(size[0]), range(size[1]))
        pixels = [small[(y * height // size[0]) * width + x * width // size[1]] for y, x in places]
        masks.append(torch.stack(pixels).view(1, *size))
    return torch.stack(masks)


@pytest.mark.parametrize("value_of", ["key", "query"])
@pytest.mark.parametrize("lam_channel", [False, True])
def test_the_mask_by_plain_loops(lam_channel, value_of):
    block = MixBlock(4, lam_channel, value_of).double()
    draw_weights(block)
    rng = Generator().manual_seed(0)
    own, other = torch.randn(2, 2, 4, 2, 3, dtype=torch.float64, generator=rng)
    lam = torch.rand(2, dtype=torch.float64, generator=rng)
    mask = block(own, other, lam, (4, 6))
    assert mask.shape == (2, 1, 4, 6)
    require_equal_gradients(block, mask, mask_by_loops(block, own, other, lam, (4, 6)))


@pytest.mark.parametrize("preset", [pytest.param("paper", marks=pytest.mark.slow), "release"])
def test_a_step_by_plain_loops(preset):
    """Eq. 4 to 8 give the losses and gradients of a step, Eq. 10 and 11 the weights after it, Eq. 12 the teacher's."""
    keys = {"automix__preset": preset, "mixer__layer": 3}
    ours, other = (method_for("automix", **keys).double() for _ in range(2))
    for method in (ours, other):
        draw_weights(method.block)
    images = pixels(dtype=torch.float64)
    loss, log = ours(images, LABELS, Generator().manual_seed(0))

    rng, epsilon, gamma = Generator().manual_seed(0), 0.1, 0.1
    margin = 0.0 if preset == "paper" else 0.08
    with torch.no_grad():
        z = other.teacher.encode(images, 4)
        other.teacher.forward_features(z, 4)

    def mixture(no_grad):
        partner, lam = draw(B, 2.0, False, rng)
        lam = lam.double()
        s_j = mask_by_loops(other.block, z, z[partner], lam, (16, 12))
        s_j = s_j.detach() if no_grad else s_j
        rows = []
        for b in range(B):
            even = no_grad and (lam[b] <= margin or 1 - lam[b] <= margin)
            share = 1 - lam[b] if even else s_j[b]
            rows.append((1 - share) * images[b] + share * images[partner[b]])  # Eq. 4
        return torch.stack(rows), partner, lam, s_j

    def cross_entropy(logits, partner, lam):
        log_p = logits.log_softmax(dim=1)
        total = sum(lam[b] * log_p[b, LABELS[b]] + (1 - lam[b]) * log_p[b, LABELS[partner[b]]] for b in range(B))
        return -total / B

    x, partner, lam, s_j = mixture(no_grad=False)
    generation = cross_entropy(other.teacher(x), partner, lam)
    gap = sum(((lam[b] - (1 - s_j[b]).sum() / (16 * 12)).abs() - epsilon).clamp(min=0) for b in range(B)) / B  # Eq. 7
    plain = F.cross_entropy(other.heads[0](other.network.forward_features(images)), LABELS)
    x, partner, lam, _ = mixture(no_grad=True)
    classification = cross_entropy(other.network(x), partner, lam)
    total = plain + classification + generation + gamma * gap  # Eq. 8
    torch.testing.assert_close(loss, total, rtol=1e-6, atol=0)  # the drawn lambda is float32
    spread = sum(((s_j[b] - s_j[b].mean()) ** 2).mean().sqrt() for b in range(B)) / B
    assert spread > 1e-4
    for name, value in (("loss_one", plain), ("loss_block", generation), ("mask_gap", gap), ("mask_spread", spread)):
        torch.testing.assert_close(log[name], value.detach(), rtol=1e-6, atol=1e-8)

    theta_k = [p.clone() for p in other.teacher.parameters()]
    for method, value in ((ours, loss), (other, total)):
        value.backward()
        torch.optim.SGD(method.parameters(), lr=0.1).step()  # Eq. 10 and 11
    torch.testing.assert_close(list(ours.parameters()), list(other.parameters()), rtol=1e-6, atol=1e-8)
    ours.after_step(0.0)
    for k, before, q in zip(ours.teacher.parameters(), theta_k, other.network.parameters(), strict=True):
        torch.testing.assert_close(k, 0.999 * before + 0.001 * q, rtol=1e-6, atol=1e-8)  # Eq. 12


def test_a_block_is_not_computed_in_half_precision():
    block = MixBlock(64, lam_channel=True)
    assert block.embed.weight.shape == (32, 65, 1, 1)
    own, other = torch.randn(2, 3, 64, 4, 3, generator=Generator().manual_seed(1)) * 100
    lam = torch.tensor([0.2, 0.5, 0.9])
    usual = block(own, other, lam, (8, 6))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(block(own, other, lam, (8, 6)), usual)


def test_the_loss_of_a_masks_mean_by_hand():
    shares = torch.tensor([0.2, 0.9], dtype=torch.float64).view(2, 1, 1, 1)  # the partner's; the own are 0.8, 0.1
    mask, lam = shares.expand(2, 1, 4, 3), torch.tensor([0.5, 0.15], dtype=torch.float64)
    assert mask_loss(mask, lam, "row").item() == pytest.approx((0.2 + 0.0) / 2)  # gaps 0.3 and 0.05, less 0.1 each
    assert mask_loss(mask, lam, "batch").item() == pytest.approx(0.125 - 0.1)  # the mean gap is 0.3 - 0.05 halved
    assert mask_loss(mask, lam, "row", epsilon=0.0).item() == pytest.approx((0.3 + 0.05) / 2)


@pytest.mark.parametrize(
    ("decay", "shares"),
    [("none", [1, 1, 1, 1]), ("cosine", [1, 0.5 + 0.125**0.5, 0.5, 0]), ("linear", [1, 0.75, 0.5, 0])],
)
def test_gamma_decays(decay, shares):
    found = [mask_weight_at(progress, 0.1, decay) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert found == pytest.approx([0.1 * share for share in shares])
