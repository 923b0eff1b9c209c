"""Every mixer trains through its method; SUMix's switches and its log change nothing that they should not."""

import copy
import inspect
import itertools
from functools import partial

import pytest
import torch
from torch import Generator

from tests.trainables.methods.small import LABELS, B, gradients, method_for, pixels, step
from trainables.methods import mixing
from trainables.methods.inputs import INPUTS
from trainables.metric import METRICS
from trainables.mixers import MIXERS
from trainables.mixers.mixed import mixed_binary_cross_entropy, mixed_cross_entropy

TOKENS = {"attend", "attend_merged"}  # only a transformer with a class token has them
NEEDS_CLASS_TOKEN = {name for name, mixer in MIXERS.items() if TOKENS & inspect.signature(mixer).parameters.keys()}
CONVOLUTIONAL = sorted(set(MIXERS) - NEEDS_CLASS_TOKEN)
DECLARED = {metric.name for metric in METRICS}
TWO_OR_MORE = sorted(set(CONVOLUTIONAL) - {"none", "cutout", "augmix"})  # images in a mixture
smoothed = partial(mixed_cross_entropy, smoothing=0.1)


@pytest.mark.parametrize("mixer", CONVOLUTIONAL)
def test_every_mixer_trains_the_whole_network_also_in_half_precision(mixer):
    """As in the loop on a GPU, the loss is close to that of full precision, and gradients are in full precision."""
    full = method_for(mixer)
    half = copy.deepcopy(full)
    loss, log = step(full)
    assert 0 < loss < float("inf")
    assert log.keys() <= DECLARED
    assert not any(value.requires_grad for value in log.values())
    for name, parameter in full.network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert all(module.training for module in full.modules())
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = half(pixels(), LABELS, torch.Generator().manual_seed(0))
    rounded.backward()
    assert rounded.item() == pytest.approx(loss.item(), rel=0.1)
    assert all(g.dtype == torch.float32 and g.isfinite().all() for g in gradients(half))


@pytest.mark.parametrize("mixer", TWO_OR_MORE)
def test_every_mixer_of_two_or_more_trains_with_sumix(mixer):
    method = method_for(mixer, sumix__lam="learned", sumix__regulariser="su")
    loss, log = step(method)
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in gradients(method))
    assert log.keys() - {"lam_drawn", "lam_learned"} <= DECLARED
    assert log["regulariser"] > 0
    assert (log["regulariser_gradient"] > 0).all()


@pytest.mark.parametrize("preset", ["paper", "release"])
def test_every_term_off_is_plain_mixed_cross_entropy_bit_for_bit(preset):
    plain, off = method_for("cutmix"), method_for("cutmix", sumix__preset=preset)
    zero = method_for("cutmix", sumix__preset=preset, sumix__regulariser="u", sumix__zeta=0.0)
    assert torch.equal(step(plain)[0], step(off)[0])
    assert all(map(torch.equal, gradients(plain), gradients(off)))
    mixed = MIXERS["cutmix"](pixels(), torch.Generator().manual_seed(0))
    assert torch.equal(step(plain)[0], mixed_cross_entropy(plain.network(mixed.images), LABELS, mixed).detach())
    assert torch.equal(step(plain)[0], step(zero)[0])


@pytest.mark.parametrize(("preset", "regulariser"), [("paper", "s"), ("paper", "u"), ("release", "su")])
def test_the_log_changes_no_number(preset, regulariser, monkeypatch):
    keys = {"sumix__preset": preset, "sumix__lam": "learned", "sumix__regulariser": regulariser}
    logged, silent = method_for("cutmix", **keys), method_for("cutmix", **keys)
    loss, log = step(logged)
    described = {"lam", "lam_std", "lam_min", "lam_max", "lam_shift"}
    described |= {"regulariser", "regulariser_logits", "regulariser_gradient"}
    assert set(log) == described | {"lam_drawn", "lam_learned"}
    assert not any(value.requires_grad for value in log.values())
    monkeypatch.setattr(mixing, "describe", lambda *args: {})
    assert torch.equal(loss, step(silent)[0])
    torch.testing.assert_close(gradients(logged), gradients(silent), rtol=0, atol=0)


def test_the_last_bin_of_lambda_holds_1_too():
    bins = mixing.in_bins(torch.tensor([0.0, 0.09, 0.1, 0.95, 1.0]))
    assert bins.sum(dim=1).tolist() == [1] * 5
    assert bins.argmax(dim=1).tolist() == [0, 0, 1, 9, 9]


@pytest.mark.parametrize(("name", "loss"), [("binary", mixed_binary_cross_entropy), ("cross_entropy", smoothed)])
def test_the_loss_is_the_configured_one(name, loss):
    method = method_for("cutmix", loss=name, label_smoothing=0.1 if name == "cross_entropy" else 0.0)
    mixed = MIXERS["cutmix"](pixels(), torch.Generator().manual_seed(0))
    wanted = loss(method.network(mixed.images), LABELS, mixed)
    assert step(method)[0].item() == pytest.approx(wanted.item(), rel=1e-5)
    if name == "cross_entropy":
        assert method_for("cutmix", label_smoothing=0.1, sumix__lam="learned").sumix.smoothing == 0.1


def test_the_log_says_what_sumix_did():
    method = method_for("mixup", sumix__lam="learned", sumix__regulariser="s")
    rng = torch.Generator().manual_seed(0)
    drawn = MIXERS["mixup"](pixels(), torch.Generator().manual_seed(0)).weights[:, 0]
    _, log = method(pixels(), LABELS, rng)
    torch.testing.assert_close(log["lam_shift"], (log["lam"] - drawn).abs())
    assert log["lam_std"].item() == pytest.approx(log["lam"].std(correction=0).item())
    assert (log["lam_min"].item(), log["lam_max"].item()) == (min(log["lam"].tolist()), max(log["lam"].tolist()))
    assert (log["lam_shift"] > 0).any()
    assert 0 < log["regulariser_logits"] < 1 < log["regulariser"]  # exp(-distance), and about log(10)
    for name, lam in (("lam_drawn", drawn), ("lam_learned", log["lam"])):
        assert log[name].shape == (B, 10)
        assert log[name].sum(dim=1).tolist() == [1] * B
        assert log[name].argmax(dim=1).tolist() == [min(9, int(10 * value)) for value in lam]
    release = method_for("mixup", sumix__preset="release", sumix__lam="learned", sumix__regulariser="s")
    _, log = step(release)
    assert log["lam_std"] == 0  # one lambda a batch
    assert not log["regulariser_gradient"].any()  # its semantic term is inert
    _, log = step(method_for("mixup", sumix__regulariser="su"))
    assert "regulariser" in log
    assert not {"lam_drawn", "lam_learned"} & log.keys()  # a fixed lambda has no histograms


def test_all_that_is_trained_is_drawn_from_the_run_s_seed_and_moves_no_random_state():
    state = torch.get_rng_state()
    methods = [method_for("cutmix", seed, sumix__lam="learned") for seed in (0, 0, 1)]
    for part in ("sumix.uncertainty", "network.backbone.head"):
        first, again, other = (method.get_submodule(part).weight for method in methods)
        assert (torch.equal(first, again), torch.equal(first, other)) == (True, False)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_that_has_learned_nothing_leaves_lambda_as_it_was_drawn():
    for init in ("om_table", "torch_default"):
        _, log = step(method_for("cutmix", init=init, sumix__lam="learned"))
        assert (log["lam_shift"] < 0.005).all()


def test_gradient_length_is_that_of_each_row_alone():
    rows = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mean = (rows**3).sum(dim=1).mean()
    wanted = (3 * rows.detach() ** 2).norm(dim=1)
    torch.testing.assert_close(mixing.gradient_length(mean, rows), wanted.float())
    assert rows.grad is None
    mean.backward()  # the graph is still there
    assert not mixing.gradient_length(torch.tensor(1.0), rows).any()


@pytest.mark.parametrize("name", ["saliency", "attention"])
def test_what_a_mixer_is_given_leaves_the_network_as_it_was(name):
    network = method_for("none").network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images = pixels()
    given = INPUTS[name](network, images, LABELS)
    assert not given.requires_grad
    assert given.shape == ((B, 16, 12) if name == "saliency" else (B, 4, 3))
    assert network.training
    assert torch.equal(images, pixels())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


def test_saliency_is_the_length_of_the_gradient_of_each_images_own_loss():
    network = method_for("none").network.double().eval()
    images = pixels(dtype=torch.float64).requires_grad_()
    losses = torch.nn.functional.cross_entropy(network(images), LABELS, reduction="none")
    (gradient,) = torch.autograd.grad(losses[2], images)
    saliency = INPUTS["saliency"](network, images.detach(), LABELS)
    wanted = gradient[2].square().mean(dim=0).sqrt().float()
    torch.testing.assert_close(saliency[2], wanted)  # the mixers take it in float32


def test_a_share_of_the_batches_is_mixed():
    rng, quarter = torch.Generator().manual_seed(1), method_for("cutmix", mixer__probability=0.25)
    mixed = [quarter.mix(pixels(), LABELS, rng) for _ in range(200)]
    kept = [batch for batch in mixed if (batch.weights[:, 0] == 1).all()]
    assert 125 < len(kept) < 175
    assert all(batch.images.equal(pixels()) for batch in kept)
    always, without = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    method_for("cutmix").mix(pixels(), LABELS, always)
    MIXERS["cutmix"](pixels(), without)
    assert torch.equal(always.get_state(), without.get_state())  # at 1 nothing more is drawn than the mixer draws


@pytest.mark.parametrize("mixer", ["cutmix", "manifoldmix", "supermix", "dcutmix"])
def test_a_batch_that_is_not_mixed_is_learned_as_it_is(mixer):
    loss, _ = step(method_for(mixer, mixer__probability=0.0))
    clean = torch.nn.functional.cross_entropy(method_for("none").network(pixels()), LABELS)
    torch.testing.assert_close(loss, clean.detach())
    sumix = {"sumix__lam": "learned", "sumix__regulariser": "su"}
    _, log = step(method_for(mixer, mixer__probability=0.0, **sumix))
    assert torch.equal(log["lam"], torch.ones(B))


@pytest.mark.parametrize(
    ("mixer", "edges"), [("cutmix", [0, 1]), ("fmix", [0, 1, 2]), ("cutmix", [0, 2, 4, 7]), ("comixup", [0, 2, 4, 7])]
)
def test_groups_are_mixed_among_themselves_one_after_another(mixer, edges):
    """Co-Mixup makes a mixture of all images of a group: of two, of two and of three, which stand side by side."""
    size = edges[-1]
    images, labels = torch.rand(size, 3, 16, 12), torch.arange(size)
    method = method_for(mixer, mixer__groups=3)
    mixed = method.mix(images, labels, Generator().manual_seed(1))
    rng = Generator().manual_seed(1)
    for start, end in itertools.pairwise(edges):
        alone = method.mixture(images[start:end], labels[start:end], rng)
        count = alone.sources.shape[1]
        assert torch.equal(mixed.images[start:end], alone.images)
        assert torch.equal(mixed.sources[start:end, :count], alone.sources + start)
        assert torch.equal(mixed.weights[start:end, :count], alone.weights)
        assert not mixed.weights[start:end, count:].any()
    assert mixer != "comixup" or mixed.sources[:4, 2].tolist() == [0, 1, 2, 3]
