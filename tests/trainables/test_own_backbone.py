"""A backbone of one's own is refused in one sentence where it could not be trained, and else it is trained."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from tests.trainables.refusal import BASE, check
from trainables.backbones import BACKBONES
from trainables.backbones.backbone import Backbone
from trainables.config import parse
from trainables.methods import build_method

names = (f"own{number}" for number in itertools.count())  # facts about a network are cached by its name


@pytest.fixture
def own(monkeypatch) -> Callable[[Callable[..., Any]], dict[str, Any]]:
    """Return a function that adds a constructor as a backbone, and returns a configuration with it."""

    def add(constructor: Callable[..., Any]) -> dict[str, Any]:
        name = next(names)
        monkeypatch.setitem(BACKBONES.data, name, constructor)
        return {**BASE, "backbone": name}

    return add


def refusal(config: dict[str, Any]) -> str:
    """Return the sentence by which a configuration is refused, without the number in the backbone's name."""
    with pytest.raises(ValueError, match="own") as refused:
        check(config)
    return str(refused.value).replace(config["backbone"], "own")


def stage(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, 4, 1), nn.BatchNorm2d(after), nn.ReLU())


def of_stages(*stages: nn.Module) -> Callable[..., Backbone]:
    return lambda *, num_classes, in_channels=3: Backbone([stage(in_channels, 8), *stages], 8, num_classes)


def changed(**parts: Any) -> Callable[..., Backbone]:
    """Return a constructor whose backbone has other modules or methods than a backbone has by itself."""

    def build(*, num_classes: int, in_channels: int = 3) -> Backbone:
        backbone = of_stages()(num_classes=num_classes, in_channels=in_channels)
        for name, part in parts.items():
            setattr(backbone, name, part)
        return backbone

    return build


class Pair(nn.Module):
    """Returns a map, and something besides; where it may, only in training."""

    def __init__(self, always: bool = True) -> None:
        super().__init__()
        self.always = always

    def forward(self, x: Tensor) -> Any:
        return (x, 0) if self.always or self.training else x


class Unknown(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return {"weights": x}["weight"]


@pytest.mark.parametrize(
    ("layer", "reason"),
    [(Pair(always=False), "'tuple' object has no attribute 'mean'"), (Unknown(), "KeyError: 'weight'")],
)
def test_code_that_fails_is_refused_with_its_reason(own, layer, reason):
    assert refusal(own(of_stages(layer))).startswith("backbone 'own' cannot see images of 32x32 pixels (")
    assert reason in refusal(own(of_stages(layer)))


HEAD = "the head of backbone 'own' must be a torch.nn.Linear to 10 classes, got {}"
ARGUMENTS = "backbone 'own' must be a function of num_classes and in_channels ({})"


@pytest.mark.parametrize(
    ("constructor", "sentence"),
    [
        (of_stages(Pair()), "stage 1 of 'own' must return (B, C, H, W), got tuple"),
        (of_stages(nn.Flatten()), "stage 1 of 'own' must return (B, C, H, W), got [2, 512]"),
        (of_stages(nn.Flatten(2)), "stage 1 of 'own' must return (B, C, H, W), got [2, 8, 64]"),
        (changed(pool=lambda maps: (maps, 0)), "forward_features of 'own' must return (B, D), got tuple"),
        (changed(forward_features=lambda x: x), "forward_features of 'own' must return (B, D), got [2, 3, 32, 32]"),
        (
            changed(pool=lambda maps: maps.mean((2, 3))[:, 1:]),
            "num_features of 'own' must be 7, as its features have, got 8",
        ),
        (changed(grid=lambda maps: (maps, 0)), "stage 0 of 'own' must return (B, C, H, W), got tuple"),
        (changed(head=nn.Flatten()), HEAD.format(nn.Flatten())),
        (changed(head=nn.Linear(8, 7)), HEAD.format(nn.Linear(8, 7))),
        (lambda *, num_classes: None, ARGUMENTS.format("got an unexpected keyword argument 'in_channels'")),
        (lambda num_classes, in_channels, width: None, ARGUMENTS.format("missing a required argument: 'width'")),
        (lambda *, num_classes, in_channels: nn.Flatten(), "backbone 'own' must return a Backbone, got Flatten"),
        (lambda *, num_classes, in_channels: {}["depth"], "backbone 'own' cannot be built (KeyError: 'depth')"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused(own, constructor, sentence):
    assert refusal(own(constructor)) == sentence


class Reads(nn.Module):
    """Reads numbers, as it is built and in every pass."""

    def __init__(self) -> None:
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.mean().item() < 0 else x * torch.from_numpy(x[:1].detach().numpy())


@pytest.mark.parametrize(
    "constructor",
    [
        of_stages(),
        changed(head=nn.Linear(8, 10, bias=False)),
        changed(neck=nn.Linear(8, 8, bias=False)),
        lambda num_classes, in_channels: of_stages()(num_classes=num_classes, in_channels=in_channels),
    ],
)
def test_an_unusual_network_is_trained(own, constructor):
    require_trained({**own(constructor), "mixer": "cutmix", "sumix.lam": "learned"})


@pytest.mark.parametrize("keys", [{"mixer": "automix", "mixer.layer": 1}, {"train_images": 21, "batch_size": 4}])
def test_a_network_that_reads_numbers_is_trained(own, keys):
    """It cannot be tried without numbers, with which a last batch of one image is tried."""
    require_trained({**own(lambda **given: of_stages(Reads())(**given)), **keys})


def require_trained(config: dict[str, Any]) -> None:
    check(config)
    loss, _ = build_method(parse(config), 0)(torch.rand(6, 3, 32, 32), torch.arange(6), Generator().manual_seed(0))
    loss.backward()
    assert loss.isfinite()
