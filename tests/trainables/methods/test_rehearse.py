"""Steps without numbers: no method reads one back from the device, and wrong combinations are found early."""

import inspect

import pytest
import torch
from torch import Generator
from torch._subclasses.fake_tensor import FakeTensorMode

from trainables.config import parse
from trainables.datasets import DATASETS
from trainables.methods import build_method, rehearse
from trainables.mixers import MIXERS

CONVOLUTIONAL = [name for name, mixer in MIXERS.items() if "attend" not in inspect.signature(mixer).parameters]


def keys(**given: object) -> dict[str, object]:
    return {"dataset": "cifar10", "backbone": "resnet8", **{k.replace("__", "."): v for k, v in given.items()}}


@pytest.mark.parametrize("mixer", CONVOLUTIONAL)
def test_no_step_reads_a_number_back(mixer: str) -> None:
    """A tensor without numbers raises where the program would wait for the device: ``.item()``, ``if tensor``."""
    rehearse(parse(keys(mixer=mixer)), DATASETS["cifar10"])


@pytest.mark.parametrize("preset", ["paper", "release"])
def test_nor_does_sumix_with_its_log(preset: str) -> None:
    rehearse(
        parse(keys(mixer="cutmix", sumix__preset=preset, sumix__lam="learned", sumix__regulariser="su")),
        DATASETS["cifar10"],
    )


def test_such_a_tensor_would_raise() -> None:
    with FakeTensorMode(), pytest.raises(Exception, match="local_scalar"):
        torch.rand(2, generator=Generator()).sum().item()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mixer": "transmix"}, "class token"),
        ({"mixer": "manifoldmix", "mixer__layers": (0, 7)}, r"layers must lie in 0\.\.3"),
        ({"mixer": "dcutmix", "sumix__preset": "release", "sumix__lam": "learned"}, "mixtures of 2 images"),
        ({"mixer": "augmix", "sumix__lam": "learned"}, "mixes an image with itself"),
        ({"mixer": "attentivemix", "mixer__top_k": 65}, "top_k must be between 1 and 64"),
        ({"mixer": "supermix", "mixer__teacher": "nowhere.pt"}, r"got 'nowhere\.pt'"),
    ],
)
def test_what_cannot_be_trained_is_found(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rehearse(parse(keys(**given)), DATASETS["cifar10"])


def test_nothing_is_left_behind() -> None:
    state = torch.get_rng_state()
    rehearse(parse(keys(mixer="cutmix")), DATASETS["cifar10"])
    assert torch.equal(torch.get_rng_state(), state)
    method = build_method(parse(keys(mixer="cutmix")), DATASETS["cifar10"], 0)
    assert all(type(p) is torch.nn.Parameter for p in method.parameters())
