"""Every optimiser agrees with its formula, the right weights decay, and the learning rate is that by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from trainables.backbones import BACKBONES
from trainables.config import parse
from trainables.methods.network import build_network
from trainables.network_shapes import Undrawn
from trainables.optimisation.optimisers import begin_at_rest, build_optimiser, parameter_groups
from trainables.optimisation.schedules import learning_rate

BETAS = (0.9, 0.999)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 3)).double()


def gradients(model: nn.Module) -> list[list[Tensor]]:
    rng = torch.Generator().manual_seed(1)
    return [[torch.randn(p.shape, generator=rng, dtype=p.dtype) for p in model.parameters()] for _ in range(3)]


def walk(model: nn.Module, **keys) -> list[Tensor]:
    """Return the weights after three steps by given gradients."""
    config = parse({"lr": 0.1, **keys})
    optimiser = build_optimiser(config, config.lr, model)
    for step in gradients(model):
        for parameter, gradient in zip(model.parameters(), step, strict=True):
            parameter.grad = gradient
        optimiser.step()
    return [p.detach() for p in model.parameters()]


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_by_hand(nesterov):
    model = network()
    weights = [p.detach().clone() for p in model.parameters()]
    velocity = [torch.zeros_like(w) for w in weights]
    for step in gradients(model):
        for index, gradient in enumerate(step):
            decayed = gradient + 0.01 * weights[index]
            velocity[index] = 0.9 * velocity[index] + decayed
            weights[index] = weights[index] - 0.1 * (decayed + 0.9 * velocity[index] if nesterov else velocity[index])
    found = walk(model, weight_decay=0.01, nesterov=nesterov)
    torch.testing.assert_close(found, weights)
    walk(network(), momentum=0.0, nesterov=nesterov, optimiser="adamw" if nesterov else "sgd")  # without one, too


def test_a_first_step_that_overflows_leaves_sgd_at_rest():
    """The kernel of a GPU, which a processor has too, skips the step itself; new memory is filled with NaN."""
    weight, other = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
    groups = [{"params": [weight, frozen]}, {"params": [other], "momentum": 0.0}]
    sgd = torch.optim.SGD(groups, lr=1.0, momentum=0.5, fused=True)
    begin_at_rest(sgd)
    assert list(sgd.state) == [weight]  # what is never trained, as a slow copy, needs no memory for it
    scaler = torch.amp.GradScaler("cpu")
    torch.use_deterministic_algorithms(True)
    try:
        for gradient in (math.inf, 1.0, 1.0):
            sgd.zero_grad()
            scaler.scale(gradient * weight.sum()).backward()
            scaler.step(sgd)
            scaler.update()
    finally:
        torch.use_deterministic_algorithms(False)
    assert weight.tolist() == [-2.5, -2.5]  # one step of 1, and one of 1.5


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_the_adaptive_ones_by_hand(name):
    model = network()
    weights = [p.detach().clone() for p in model.parameters()]
    assert any(float(w.norm()) == 0 for w in weights)  # the bias of a new norm
    mean, square = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    eps = 1e-6 if name == "lamb" else 1e-8
    for count, step in enumerate(gradients(model), start=1):
        for i, gradient in enumerate(step):
            mean[i] = BETAS[0] * mean[i] + (1 - BETAS[0]) * gradient
            square[i] = BETAS[1] * square[i] + (1 - BETAS[1]) * gradient**2
            corrected = mean[i] / (1 - BETAS[0] ** count), square[i] / (1 - BETAS[1] ** count)
            direction = corrected[0] / (corrected[1].sqrt() + eps) + 0.05 * weights[i]
            length = float(weights[i].norm())
            if name == "lamb" and length > 0:
                direction *= length / direction.norm()
            weights[i] = weights[i] - 0.1 * direction
    torch.testing.assert_close(walk(model, optimiser=name, weight_decay=0.05), weights)


def test_lamb_without_decay_is_adam():
    adam = network()
    optimiser = torch.optim.Adam(adam.parameters(), lr=0.1, betas=BETAS, eps=1e-6)
    for step in gradients(adam):
        for parameter, gradient in zip(adam.parameters(), step, strict=True):
            parameter.grad = gradient
        optimiser.step()
    torch.testing.assert_close(walk(network(), optimiser="lamb", weight_decay=0.0), list(adam.parameters()))


@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb"])
def test_a_weight_without_a_gradient_stays_as_it_is(name):
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    next(model.parameters()).grad = gradients(model)[0][0]
    build_optimiser(parse({"optimiser": name, "weight_decay": 0.05}), 0.1, model).step()
    stays = [torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert stays == [False] + [True] * (len(before) - 1)


@pytest.mark.parametrize("name", ["resnet8", "deit_small", "swin_tiny", "convnext_tiny_cifar"])
def test_matrices_alone_decay(name):
    with torch.device("meta"):
        model = BACKBONES[name](num_classes=10)
    decaying, free = parameter_groups(parse({"weight_decay_on": "matrices"}), model)
    assert free["weight_decay"] == 0
    names = {id(p): key for key, p in model.named_parameters()}
    kept = {names[id(p)] for p in decaying["params"]}
    let = {names[id(p)] for p in free["params"]}
    assert let == set(names.values()) - kept
    modules = dict(model.named_modules())
    norms = (nn.LayerNorm, nn.BatchNorm2d)
    weights = {key for key in names.values() if key.endswith("weight")}
    assert kept == {key for key in weights if not isinstance(modules[key.rpartition(".")[0]], norms)}
    for kind in ("class_token", "pos_embedding", "relative_position_bias_table", "layer_scale"):
        there = {key for key in names.values() if key.endswith(kind)}
        assert there <= let
        assert bool(there) == (kind in SPECIAL[name]), kind


SPECIAL = {
    "resnet8": (),
    "deit_small": ("class_token", "pos_embedding"),
    "swin_tiny": ("relative_position_bias_table",),
    "convnext_tiny_cifar": ("layer_scale",),
}


def test_the_embeddings_of_a_model_of_timm_do_not_decay():
    config = parse({"dataset": "cifar10", "backbone": "timm/test_vit", "image_size": 64, "weight_decay_on": "matrices"})
    with torch.device("meta"), Undrawn():
        network = build_network(config)
    decaying, free = parameter_groups(config, network)
    names = {id(weight): key.rpartition(".")[2] for key, weight in network.named_parameters()}
    assert {names[id(weight)] for weight in decaying["params"]} == {"weight"}
    assert [names[id(weight)] for weight in free["params"] if weight.ndim > 1] == ["cls_token", "pos_embed"]
    _, earlier = parameter_groups(config, network, exempt=False)
    assert all(weight.ndim == 1 for weight in earlier["params"])


def rates_at(times, **keys) -> list[float]:
    settings = parse({"epochs": 8, "lr": 0.4, **keys})
    return [learning_rate(settings, done) for done in times]


def cosine(done: float) -> float:
    return 0.2 * (1 + math.cos(math.pi * done / 8))


@pytest.mark.parametrize(
    ("keys", "times", "rates"),
    [
        ({}, [0, 2, 2.99, 4, 7.5], [0.4, cosine(2), cosine(2), 0.2, cosine(7)]),
        ({"lr_changes": "each_step"}, [2.5, 7.999], [cosine(2.5), cosine(7.999)]),
        # One that ends above zero is the same curve on a pedestal.
        ({"min_lr": 0.1}, [0, 3, 7, 8], [0.1 + 0.75 * cosine(done) for done in (0, 3, 7, 8)]),
        ({"min_lr": 0.4}, [0, 3, 7, 8], [0.4] * 4),
        (
            {"schedule": "multistep", "milestones": (0.5, 0.75)},
            *([0, 3.99, 4, 5.99, 6, 7.99], [0.4, 0.4, 0.04, 0.04, 0.004, 0.004]),
        ),
        ({"schedule": "multistep", "milestones": [0.25, 0.3, 0.4], "min_lr": 0.1}, [4], [4e-4]),  # a list will do
        # The warm-up multiplies the schedule in every step.
        (
            {"warmup_epochs": 2, "warmup_start": 0.5},
            *([0, 0.5, 1.5, 2], [0.2, 0.4 * 0.625, cosine(1) * 0.875, cosine(2)]),
        ),
        ({"warmup_epochs": 2}, [0], [0]),
    ],
)
def test_the_rate_is_that_by_hand(keys, times, rates):
    assert rates_at(times, **keys) == pytest.approx(rates)


@pytest.mark.parametrize("epochs", [25, 100, 150, 200])
def test_a_milestone_that_is_a_whole_epoch_is_the_start_of_that_epoch(epochs):
    """In floating point, 0.55 times 100 epochs is a little more than 55."""
    for epoch in range(1, epochs):
        steps = {"epochs": epochs, "schedule": "multistep", "milestones": (epoch / epochs,)}
        assert rates_at((epoch - 0.01, epoch), **steps) == [0.4, 0.04]
        assert rates_at((epoch - 0.01, epoch), lr_changes="each_step", **steps) == [0.4, 0.04]
