"""AutoMix's mask by plain loops, its losses and schedules by hand, and who learns from what."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainables.config import parse
from trainables.datasets import DATASETS
from trainables.losses.mix_block import MixBlock, mask_loss, mask_weight_at, teacher_momentum
from trainables.methods import build_method
from trainables.methods.mask_learning import AutoMixing
from trainables.mixers.automix import automix, draw, mix_by
from trainables.mixers.mixed import mixed_cross_entropy

B = 6
LABELS = torch.tensor([3, 1, 4, 1, 5, 9])


def pixels() -> Tensor:
    return torch.rand(B, 3, 16, 12, generator=Generator().manual_seed(5))


def method_for(**keys: Any) -> AutoMixing:
    dotted = {key.replace("__", "."): value for key, value in keys.items()}
    config = parse({"dataset": "cifar10", "backbone": "resnet8", "init": "torch_default", "mixer": "automix", **dotted})
    method = build_method(config, DATASETS["cifar10"], 0).train()
    assert isinstance(method, AutoMixing)
    return method


@pytest.mark.parametrize("lam_channel", [False, True])
def test_the_mask_by_plain_loops(lam_channel: bool) -> None:
    rng = Generator().manual_seed(0)
    block = MixBlock(4, lam_channel)
    for parameter in block.parameters():
        parameter.data.normal_(generator=rng)
    own, other, lam = torch.randn(2, 4, 2, 3, generator=rng), torch.randn(2, 4, 2, 3, generator=rng), torch.rand(2)
    mask = block(own, other, lam, (4, 6))
    assert mask.shape == (2, 1, 4, 6)

    def place(maps: Tensor, row: int, y: int, x: int, share: float) -> Tensor:
        vector = maps[row, :, y, x]
        return torch.cat((vector, torch.tensor([share]))) if lam_channel else vector

    places = [(y, x) for y in range(2) for x in range(3)]
    block.requires_grad_(False)
    embed, value = block.embed.weight[:, :, 0, 0], block.value.weight[:, :, 0, 0]
    assert block.embed.bias is not None
    assert block.value.bias is not None
    for row in range(2):
        share = float(lam[row])
        for y, x in places:
            query = embed @ place(own, row, y, x, share) + block.embed.bias
            others = [place(other, row, *there, 1 - share) for there in places]
            scores = [float(query @ (embed @ vector + block.embed.bias)) / math.sqrt(2) for vector in others]
            total = sum(math.exp(score) for score in scores)
            seen = sum(
                math.exp(score) / total * float(value[0] @ vector + block.value.bias[0])
                for score, vector in zip(scores, others, strict=True)
            )
            expected = 1 / (1 + math.exp(-seen))
            for pixel in mask[row, 0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].flatten():
                assert pixel.item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_a_masks_mean_by_hand() -> None:
    shares = torch.tensor([0.2, 0.9]).view(2, 1, 1, 1)  # of the partner: the own are 0.8 and 0.1
    mask, lam = shares.expand(2, 1, 4, 3), torch.tensor([0.5, 0.15])
    assert mask_loss(mask, lam, "row").item() == pytest.approx((0.2 + 0.0) / 2)  # gaps 0.3 and 0.05, less 0.1 each
    assert mask_loss(mask, lam, "batch").item() == pytest.approx(
        0.125 - 0.1, rel=1e-5
    )  # the mean gap is 0.3 - 0.05 halved


@pytest.mark.parametrize(("progress", "kept"), [(0.0, 0.999), (0.0999, 0.999), (0.5, 0.9994995), (1.0, 0.999999)])
def test_the_teacher_slows_down(progress: float, kept: float) -> None:
    assert teacher_momentum(progress, 0.999, 0.999999) == pytest.approx(kept, abs=1e-9)


@pytest.mark.parametrize(("decay", "half"), [("none", 0.1), ("cosine", 0.05), ("linear", 0.05)])
def test_gamma_decays(decay: Any, half: float) -> None:
    assert mask_weight_at(0.0, 0.1, decay) == pytest.approx(0.1)
    assert mask_weight_at(0.5, 0.1, decay) == pytest.approx(half)
    assert mask_weight_at(1.0, 0.1, decay) == pytest.approx(0.1 if decay == "none" else 0.0)
    assert decay == "none" or mask_weight_at(0.25, 0.1, decay) == pytest.approx(
        {"cosine": 0.1 * (1 + math.sqrt(0.5)) / 2, "linear": 0.075}[decay]
    )


def left_half(partner: Tensor, lam: Tensor) -> Tensor:
    return (torch.arange(12) < 6).float().expand(len(partner), 1, 16, 12)


def test_the_mask_is_the_partners_share_and_the_label_the_drawn_lambda() -> None:
    images = pixels()
    mixed = automix(images, Generator().manual_seed(2), lam_margin=0.0, generate=left_half)
    partner, lam = draw(B, 2.0, False, Generator().manual_seed(2))
    assert torch.equal(mixed.sources[:, 1], partner)
    assert torch.equal(mixed.weights[:, 0], lam)
    assert len(lam.unique()) == B
    assert torch.equal(mixed.images[..., :6], images[partner][..., :6])
    assert torch.equal(mixed.images[..., 6:], images[..., 6:])
    assert torch.equal(images, pixels())


def test_a_lambda_near_an_end_mixes_evenly() -> None:
    images = pixels()
    mixed = automix(images, Generator().manual_seed(2), lam_margin=0.3, generate=left_half)
    lam = mixed.weights[:, 0]
    near = (lam <= 0.3) | (lam >= 0.7)
    assert 0 < near.sum() < B
    even = torch.lerp(images[mixed.sources[:, 1]], images, lam.view(-1, 1, 1, 1))
    torch.testing.assert_close(mixed.images[near], even[near])
    assert torch.equal(mixed.images[~near][..., 6:], images[~near][..., 6:])


def test_per_batch_gives_one_lambda_to_all_rows() -> None:
    weights = automix(pixels(), Generator().manual_seed(0), per_batch=True, generate=left_half).weights
    assert torch.equal(weights, weights[:1].expand_as(weights))


def test_the_loss_is_the_sum_of_its_four_parts() -> None:
    """Recomputed from the networks of another method that starts alike: the paper's Eq. 9 and the code's weights."""
    method, other = method_for(), method_for()
    loss, log = method(pixels(), LABELS, Generator().manual_seed(0))

    rng, images = Generator().manual_seed(0), pixels()
    with torch.no_grad():
        maps = other.teacher.encode(images, 4)
        partner, lam = draw(B, 2.0, False, rng)
        mask = other.block(maps, maps[partner], lam, (16, 12))
        first = mix_by(images, partner, lam, mask)
        of_block = mixed_cross_entropy(other.teacher(first.images), LABELS, first)
        second = automix(images, rng, generate=lambda p, given: other.block(maps, maps[p], given, (16, 12)))
        one = F.cross_entropy(other.head_one(other.network.forward_features(images)), LABELS)
        of_mixed = mixed_cross_entropy(other.network(second.images), LABELS, second)
        gap = mask_loss(mask, lam, "row")
    torch.testing.assert_close(loss.detach(), of_mixed + one + of_block + 0.1 * gap)
    torch.testing.assert_close(log["loss_one"], one)
    torch.testing.assert_close(log["loss_block"], of_block)
    assert not torch.equal(first.images, second.images)


def test_the_block_learns_from_the_teacher_and_the_student_from_both_batches() -> None:
    method = method_for()
    method(pixels(), LABELS, Generator().manual_seed(0)).loss.backward()
    assert all(p.grad is None for p in (*method.teacher.parameters(), *method.teacher_head_one.parameters()))
    assert all(p.grad is not None and p.grad.any() for p in method.network.parameters())
    assert all(p.grad is not None and p.grad.any() for p in method.head_one.parameters())
    # The keys' bias moves all scores of a place alike, and that of the queries is the same weight.
    assert all(p.grad is not None and p.grad.any() for p in (method.block.embed.weight, method.block.value.weight))

    student = [p.grad.clone() for p in method.network.parameters() if p.grad is not None]
    without = method_for(mixer__mask_weight=0.0)
    with torch.no_grad():
        without.teacher.backbone.head.weight.zero_()  # recognises nothing, so the block has nothing to learn from
        without.teacher.backbone.head.bias.zero_()
    without(pixels(), LABELS, Generator().manual_seed(0)).loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in without.block.parameters())
    for ours, theirs in zip(student, without.network.parameters(), strict=True):
        assert theirs.grad is not None
        assert torch.equal(ours, theirs.grad)


def test_the_teachers_weights_follow_and_its_statistics_are_its_own() -> None:
    method = method_for()
    before = {name: value.clone() for name, value in method.teacher.state_dict().items()}
    method(pixels(), LABELS, Generator().manual_seed(0))
    changed = {name for name, value in method.teacher.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "running" in name or "num_batches" in name}
    norm = next(m for m in method.teacher.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert norm.num_batches_tracked == 2  # the images as they are, and the block's mixed ones

    statistics = {name: value.clone() for name, value in method.teacher.named_buffers()}
    with torch.no_grad():
        for parameter in (*method.network.parameters(), *method.head_one.parameters()):
            parameter.add_(1.0)
    method.after_step(0.05)
    for name, weight in method.teacher.named_parameters():
        torch.testing.assert_close(weight, before[name] + 0.001, rtol=0, atol=1e-6)
    for slow, fast in zip(method.teacher_head_one.parameters(), method.head_one.parameters(), strict=True):
        torch.testing.assert_close(fast - slow, torch.full_like(fast, 0.999), rtol=0, atol=1e-5)
    assert all(torch.equal(value, statistics[name]) for name, value in method.teacher.named_buffers())


def test_the_teacher_with_its_head_for_mixed_images_is_what_is_tested() -> None:
    method = method_for().eval()
    with torch.no_grad():
        for number, head in enumerate((method.teacher.backbone.head, method.teacher_head_one, method.head_one)):
            head.bias[number] += 100.0
    assert method.evaluated(pixels()).argmax(1).tolist() == [0] * B
    others = {name: network(pixels()).argmax(1) for name, network in method.also_tested.items()}
    assert list(others) == ["teacher_one", "student_mixed", "student_one"]
    assert others["teacher_one"].tolist() == [1] * B
    assert others["student_one"].tolist() == [2] * B
    assert torch.equal(others["student_mixed"], method.network(pixels()).argmax(1))


def test_sumix_changes_the_students_mixed_loss_and_nothing_else() -> None:
    plain, sumix = method_for(), method_for(sumix__lam="learned", sumix__regulariser="su")
    loss, log = plain(pixels(), LABELS, Generator().manual_seed(0))
    with_sumix, described = sumix(pixels(), LABELS, Generator().manual_seed(0))
    for name in ("loss_one", "loss_block", "mask_gap"):
        assert torch.equal(log[name], described[name])
    assert described["lam_shift"].max() > 0
    assert not torch.equal(loss, with_sumix)
    norm = next(m for m in sumix.network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert norm.num_batches_tracked == 2  # the images as they are serve both losses


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"mixer__layer": 4}, r"mixer.layer must lie in 1\.\.3 for resnet8, got 4"),
        ({"mixer__layer": 0}, r"mixer.layer must lie in 1\.\.3 for resnet8, got 0"),
        ({"clean_loss": 1.0}, r"its own loss on the images as they are, got clean_loss 1\.0"),
        ({"sumix__lam": "learned", "sumix__raw_forward": "eval_nograd"}, "must be 'train_grad', got 'eval_nograd'"),
        ({"mixer__mask_decay": "sudden"}, "mixer.mask_decay must be .*got 'sudden'"),
    ],
)
def test_what_cannot_be_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method_for(**keys)
