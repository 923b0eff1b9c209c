"""AutoMix trains: its presets, pipelines and schedules by hand, and the flow of its gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from tests.trainables.methods.small import LABELS, B, draw_weights, method_for, pixels
from trainables.config import parse
from trainables.losses.mix_block import mask_loss
from trainables.methods.momentum_pipeline import momentum
from trainables.mixers.automix import automix, draw, even_near_the_ends, mix_by
from trainables.mixers.mixed import mixed_cross_entropy
from trainables.optimisation.optimisers import build_optimiser, set_lr


def test_the_presets_differ_in_what_the_paper_and_openmixup_do():
    paper, release = (parse({"mixer": "automix", "automix.preset": preset}) for preset in ("paper", "release"))
    assert parse({"mixer": "automix"}) == release
    differ = {key: (value, release.mixer_options[key]) for key, value in paper.mixer_options.items()}
    assert {key: pair for key, pair in differ.items() if pair[0] != pair[1]} == {
        "lam_margin": (0.0, 0.08),
        "lam_channel": (True, False),
        "value_of": ("query", "key"),
        "mask_decay": ("linear", "none"),
        "last_momentum": (1.0, 0.999999),
        "momentum_from": (0.0, 0.1),
    }
    one = parse({"mixer": "automix", "automix.preset": "paper", "mixer.value_of": "key"})
    assert one.mixer_options == {**paper.mixer_options, "value_of": "key"}
    cutmix = {"mixer": "cutmix"}
    assert parse({**cutmix, "automix.preset": "paper"}).mixer_options == parse(cutmix).mixer_options


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "release"])
def test_the_masks_of_the_paper_follow_lambda_after_a_short_training_and_the_releases_cannot(preset):
    """The block learns from Eq. 7, at fixed maps; a whole step takes a hundred times as long."""
    method = method_for("automix", automix__preset=preset)
    optimiser = torch.optim.SGD(method.block.parameters(), lr=0.05, momentum=0.9)  # at 0.1, rounding alone decides
    rng = Generator().manual_seed(0)
    maps = method.maps(pixels())
    for _ in range(300):
        optimiser.zero_grad()
        partner, lam = draw(B, 1.0, False, rng)
        mask_loss(method.masks(maps, (16, 12), Generator(), partner, lam), lam, "row").backward()
        optimiser.step()
    partner, lams = torch.arange(B).roll(1), [torch.full((B,), lam) for lam in (0.1, 0.5, 0.9)]
    with torch.no_grad():
        low, middle, high = (1 - method.masks(maps, (16, 12), Generator(), partner, lam).mean().item() for lam in lams)
    if preset == "paper":
        assert (low, middle, high) == pytest.approx((0.1, 0.5, 0.9), abs=0.15)
    else:
        assert low == middle == high


@pytest.mark.parametrize(
    ("preset", "kept"),
    [
        ("release", {0.0: 0.999, 0.0999: 0.999, 0.5: 0.9994995, 1.0: 0.999999}),
        ("paper", {0.0: 0.999, 0.0999: 1 - 0.001 * (1 + math.cos(0.0999 * math.pi)) / 2, 0.5: 0.9995, 1.0: 1.0}),
    ],
)
def test_the_teacher_slows_down(preset, kept):
    options = parse({"mixer": "automix", "automix.preset": preset}).mixer_options
    assert {progress: momentum(progress, options) for progress in kept} == pytest.approx(kept, abs=1e-9)


def test_the_teachers_weights_follow_and_its_statistics_are_its_own():
    method = method_for("automix", seed=1, mixer__layer=2)
    teacher, heads = method.teacher, method.heads
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    method(pixels(), LABELS, Generator().manual_seed(0))
    changed = {name for name, value in teacher.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "running" in name or "num_batches" in name}
    norms = [module for module in teacher.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    # Also after the map: the images as they are, and the block's mixed ones.
    assert all(norm.num_batches_tracked == 2 for norm in norms)

    statistics = {name: value.clone() for name, value in teacher.named_buffers()}
    with torch.no_grad():
        for parameter in (*method.network.parameters(), *heads[0].parameters()):
            parameter.add_(1.0)
    method.after_step(0.05)
    for name, weight in teacher.named_parameters():
        torch.testing.assert_close(weight, before[name] + 0.001, rtol=0, atol=1e-6)
    for slow, fast in zip(heads[1].parameters(), heads[0].parameters(), strict=True):
        torch.testing.assert_close(fast - slow, torch.full_like(fast, 0.999), rtol=0, atol=1e-5)
    assert all(torch.equal(value, statistics[name]) for name, value in teacher.named_buffers())


def test_the_loss_of_the_masks_fades_as_the_training_goes_on():
    method = method_for("automix", automix__preset="paper", mixer__first_momentum=1.0)  # so that the teacher stays
    losses = []
    for progress in (0.0, 0.5, 1.0):
        method.after_step(progress)
        loss, log = method(pixels(), LABELS, Generator().manual_seed(0))
        losses.append(loss.item())
    gap = log["mask_gap"].item()
    assert gap > 0.01
    assert [losses[0] - loss for loss in losses] == pytest.approx([0.0, 0.05 * gap, 0.1 * gap], abs=1e-5)


def test_the_teacher_with_its_head_for_mixed_images_is_what_is_tested():
    method = method_for("automix").eval()
    with torch.no_grad():
        for number, head in enumerate((method.teacher.backbone.head, method.heads[1], method.heads[0])):
            head.bias[number] += 100.0
    assert method.evaluated(pixels()).argmax(1).tolist() == [0] * B
    others = {name: network(pixels()).argmax(1) for name, network in method.also_tested.items()}
    assert list(others) == ["teacher_one", "student_mixed", "student_one"]
    assert others["teacher_one"].tolist() == [1] * B
    assert others["student_one"].tolist() == [2] * B
    assert torch.equal(others["student_mixed"], method.network(pixels()).argmax(1))


def test_sumix_changes_the_students_mixed_loss_and_nothing_else():
    plain, sumix = method_for("automix"), method_for("automix", sumix__lam="learned", sumix__regulariser="su")
    loss, log = plain(pixels(), LABELS, Generator().manual_seed(0))
    with_sumix, described = sumix(pixels(), LABELS, Generator().manual_seed(0))
    for name in ("loss_one", "loss_block", "mask_gap"):
        assert torch.equal(log[name], described[name])
    assert described["lam_shift"].max() > 0
    assert not torch.equal(loss, with_sumix)
    norm = next(m for m in sumix.network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert norm.num_batches_tracked == 2  # the images as they are serve both losses


@pytest.mark.parametrize(
    ("mixer", "pipeline"), [*(("automix", row) for row in ("none", "mp_m0", "mp")), ("samix", "mp_ce")]
)
def test_each_row_of_table_8_but_automix_s_own_by_hand(mixer, pipeline):
    """The loss agrees with the networks of another method that starts alike; the right parts learn and are tested.

    AutoMix itself, "mp_ce", is computed by ``test_automix_by_loops``. SAMix takes the masks' variance off their loss.
    """
    options = {"mixer__pipeline": pipeline, "mixer__lam_margin": 0.3, "mixer__epsilon": 0.05}
    method, other = (method_for(mixer, **options).double() for _ in range(2))
    for each in (method, other):
        draw_weights(each.block)
    images, rng = pixels(dtype=torch.float64), Generator().manual_seed(0)
    loss, log = method(images, LABELS, Generator().manual_seed(0))
    slow = other.network if other.teacher is None else other.teacher
    maps = slow.encode(images, 4)
    partner, lam = draw(B, 2.0, False, rng)
    mask = other.block(maps, maps[partner], lam, (16, 12))
    gap = mask_loss(mask, lam, "row", 0.05) - 2 * (mixer == "samix") * sum(m.var(correction=0) for m in mask) / B
    wanted = 0.1 * gap
    first = mix_by(images, partner, lam, even_near_the_ends(mask, lam, 0.3) if pipeline == "none" else mask)
    wanted = wanted + mixed_cross_entropy(slow(first.images), LABELS, first)
    if pipeline != "none":
        second = automix(images, rng, lam_margin=0.3, generate=lambda p, lam: other.block(maps, maps[p], lam, (16, 12)))
        wanted = wanted + mixed_cross_entropy(other.network(second.images), LABELS, second)
    if pipeline == "mp_ce":
        wanted = wanted + F.cross_entropy(other.heads[0](other.network.forward_features(images)), LABELS)
    torch.testing.assert_close(loss, wanted, rtol=1e-6, atol=0)  # the drawn lambda is float32
    torch.testing.assert_close(log["mask_gap"], gap.detach(), rtol=1e-6, atol=1e-8)
    assert ("loss_one" in log, "loss_block" in log) == (pipeline == "mp_ce", pipeline != "none")
    passes = [[n for name, n in each.network.named_buffers() if "num_batches" in name] for each in (method, other)]
    assert passes[0] == passes[1]

    loss.backward()
    wanted.backward()  # without a teacher it flows on through the maps of the masks
    for ours, theirs in zip(method.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-8)
    learns = {name.split(".")[0] for name, p in method.named_parameters() if p.grad is not None and p.grad.any()}
    assert learns == {"network", "block", *(("heads",) if pipeline == "mp_ce" else ())}
    assert method.also_saved["mix_block"] is method.block
    with torch.no_grad():
        for parameter in method.network.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in (method.teacher or method.network).parameters()]
    method.after_step(0.0)
    keep = 0.999 if pipeline in ("mp", "mp_ce") else 0.0
    for tested, old, new in zip(method.evaluated.parameters(), before, method.network.parameters(), strict=True):
        torch.testing.assert_close(tested, keep * old + (1 - keep) * new)
    assert (method.evaluated is method.network) == (pipeline == "none")
    plain = ["teacher_one", "student_mixed", "student_one"]
    assert list(method.also_tested) == {"none": [], "mp_ce": plain}.get(pipeline, ["student_mixed"])


@pytest.mark.parametrize("raw_forward", ["train_grad", "eval_nograd"])
def test_without_plain_images_in_the_loss_sumix_sees_them_in_any_way(raw_forward):
    sumix = {"sumix__lam": "learned", "sumix__raw_forward": raw_forward}
    plain, method = (method_for("automix", mixer__pipeline="mp", **keys) for keys in ({}, sumix))
    alone, _ = plain(pixels(), LABELS, Generator().manual_seed(0))
    loss, log = method(pixels(), LABELS, Generator().manual_seed(0))
    assert (log["lam_shift"] > 0).any()
    assert not torch.equal(loss, alone)


def test_a_derangement_holds_for_the_block_and_for_the_classifier(monkeypatch):
    method = method_for("automix", mixer__derangement=True)
    masks, drawn = method.masks, []

    def kept(maps, size, rng, partner, lam):
        drawn.append(partner)
        return masks(maps, size, rng, partner, lam)

    monkeypatch.setattr(method, "masks", kept)
    for seed in range(2):
        method(pixels(), LABELS, Generator().manual_seed(seed))
    assert len(drawn) == 2 * 2
    assert all((partner != torch.arange(B)).all() for partner in drawn)


def test_with_random_grids_everything_but_the_block_learns():
    method = method_for("automix", mixer__masks="grids", mixer__lam_margin=0.0)
    loss, log = method(pixels(), LABELS, Generator().manual_seed(0))
    loss.backward()
    learns = {name.split(".")[0] for name, p in method.named_parameters() if p.grad is not None and p.grad.any()}
    assert learns == {"network", "heads"}
    assert "loss_block" not in log
    assert method.also_saved == {}
    assert method.evaluated is method.teacher
    mask = method.masks(method.maps(pixels()), (16, 12), Generator(), torch.arange(B).roll(1), torch.full((B,), 0.25))
    cells = mask[:, :, ::4, ::4]  # the map is 4x3
    assert torch.equal(mask, cells.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3))
    assert cells.sum(dim=(1, 2, 3)).tolist() == [9] * B


def test_the_block_may_have_an_optimiser_of_its_own():
    keys = {"mixer__block_lr": 0.4, "mixer__block_min_lr": 0.2, "mixer__block_momentum": 0.0, "epochs": 4}
    method = method_for("automix", **keys)
    rates = {"lr": 0.1, "warmup_epochs": 3}
    config = parse({"mixer": "automix", "backbone": "resnet8", "epochs": 4, "momentum": 0.9, **rates})
    optimiser = build_optimiser(config, 0.1, method)
    rest, block = optimiser.param_groups
    assert {id(p) for p in block["params"]} == {id(p) for p in method.block.parameters()}
    assert (rest["momentum"], block["momentum"], block["peak_lr"], block["min_lr"]) == (0.9, 0.0, 0.4, 0.2)
    assert len(rest["params"]) + len(block["params"]) == len(list(method.parameters()))
    set_lr(optimiser, config, 2)  # halfway down the cosine, and two thirds up the warm-up, which the block has not
    assert [rest["lr"], block["lr"]] == pytest.approx([0.05 * 2 / 3, 0.3])
    assert len(build_optimiser(config, 0.1, method_for("automix")).param_groups) == 1
    for key, name in (("lr", "peak_lr"), ("min_lr", "min_lr"), ("momentum", "momentum")):
        (group,) = method_for("automix", **{f"mixer__block_{key}": 0.05}).own_groups()
        assert (group.keys(), group[name]) == ({"params", name}, 0.05)
