"""The batch before mixing, which SUMix and a clean loss send through the network: when, how and with what effect."""

import pytest
import torch

from tests.trainables.methods.small import LABELS, B, gradients, method_for, pixels, step
from trainables.datasets import DATASETS
from trainables.mixers import MIXERS


@pytest.mark.parametrize(
    ("mixer", "raw_forward"),
    [
        *(("cutmix", way) for way in ("train_grad", "train_nograd", "eval_nograd", "joint")),
        ("manifoldmix", "eval_nograd"),
    ],
)
def test_the_raw_forward_leaves_the_mode_and_counts_its_batches(mixer, raw_forward):
    method = method_for(mixer, sumix__regulariser="u", sumix__raw_forward=raw_forward)
    step(method)
    assert method.network.training
    norm = next(m for m in method.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert norm.num_batches_tracked == (1 if raw_forward in ("eval_nograd", "joint") else 2)
    assert method.encode_raw(pixels())[0].requires_grad == (raw_forward == "train_grad")


@pytest.mark.parametrize(("preset", "clean_loss"), [("paper", 0.5), ("release", 0.0)])
def test_one_pass_of_both_batches_by_hand(preset, clean_loss):
    keys = {"sumix__lam": "learned", "sumix__regulariser": "su", "sumix__preset": preset}
    joint = method_for("cutmix", sumix__raw_forward="joint", clean_loss=clean_loss, **keys).double()
    other, apart = (method_for("cutmix", clean_loss=clean_loss, **keys).double() for _ in range(2))
    loss, _ = step(joint)
    images = pixels(dtype=torch.float64)
    mixed = MIXERS["cutmix"](images, torch.Generator().manual_seed(0))
    features = other.network.forward_features(torch.cat((images, mixed.images)))
    logits = other.network.head(features)
    wanted = other.sumix(features[:B], logits[:B], features[B:], logits[B:], LABELS, mixed).loss
    wanted = wanted + clean_loss * torch.nn.functional.cross_entropy(logits[:B], LABELS)
    wanted.backward()
    torch.testing.assert_close(loss, wanted.detach())
    torch.testing.assert_close(gradients(joint), gradients(other))
    torch.testing.assert_close(list(joint.buffers()), list(other.buffers()))
    assert (loss - step(apart)[0]).abs() > 1e-4


def test_the_batch_before_mixing_goes_through_the_network_first():
    method = method_for("mixup", sumix__lam="learned")
    seen = []
    method.network.backbone.stages[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    step(method)
    mean, std = (torch.tensor(of).view(3, 1, 1) for of in (DATASETS["cifar10"].mean, DATASETS["cifar10"].std))
    assert [torch.allclose(images, (pixels() - mean) / std, atol=1e-6) for images in seen] == [True, False]


@pytest.mark.parametrize(
    ("preset", "regulariser"), [("paper", "none"), ("paper", "s"), ("paper", "u"), ("paper", "su"), ("release", "su")]
)
def test_a_graph_before_mixing_is_kept_only_where_it_changes_a_gradient(preset, regulariser):
    keys = {"sumix__lam": "learned", "sumix__regulariser": regulariser, "sumix__preset": preset}
    kept, saved = method_for("cutmix", **keys), method_for("cutmix", **keys)
    assert saved.encode_raw(pixels())[0].requires_grad == ("u" in regulariser)
    kept.encode_raw(pixels())  # both have seen the batch once
    kept.learns_before_mixing = True
    assert torch.equal(step(kept)[0], step(saved)[0])
    torch.testing.assert_close(gradients(kept), gradients(saved), rtol=0, atol=0)


@pytest.mark.parametrize("sumix", ["none", "lam", "lam+su"])
def test_the_clean_loss_adds_the_gradient_of_the_batch_before_mixing(sumix):
    lam, _, regulariser = sumix.partition("+")
    keys = {"sumix__lam": "learned" if lam == "lam" else "fixed", "sumix__regulariser": regulariser or "none"}
    plain, both = method_for("cutmix", **keys).double(), method_for("cutmix", clean_loss=0.5, **keys).double()
    clean = method_for("none").double()
    alone, together = step(plain)[0], step(both)[0]
    loss = torch.nn.functional.cross_entropy(clean.network(pixels(dtype=torch.float64)), LABELS)
    loss.backward()
    torch.testing.assert_close(together, alone + 0.5 * loss.detach())
    networks = (method.network.parameters() for method in (both, plain, clean))
    for ours, mixed, before in zip(*networks, strict=True):
        torch.testing.assert_close(ours.grad, mixed.grad + 0.5 * before.grad)


@pytest.mark.parametrize("raw_statistics", ["keep", "leave"])
def test_the_raw_pass_moves_the_running_statistics_or_leaves_them(raw_statistics):
    """Statistics that are left are a baseline's; either way the pass itself uses the statistics of its own batch."""
    plain = method_for("cutmix")
    sumix = method_for("cutmix", sumix__regulariser="s", sumix__zeta=0.0, sumix__raw_statistics=raw_statistics)
    assert torch.equal(step(plain)[0], step(sumix)[0])
    same = [torch.equal(*pair) for pair in zip(plain.network.buffers(), sumix.network.buffers(), strict=True)]
    assert all(same) == (raw_statistics == "leave")

    other = method_for("cutmix", sumix__lam="learned")
    assert torch.equal(sumix.encode_raw(pixels())[0], other.encode_raw(pixels())[0])
    assert all(norm.track_running_stats for norm in sumix.modules() if isinstance(norm, torch.nn.BatchNorm2d))
