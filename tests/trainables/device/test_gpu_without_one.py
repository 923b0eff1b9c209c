"""All tensors of a step are on the GPU, as far as shows without one.

Tensors without numbers have a device that need not be there. Torch refuses to compute with tensors of two devices, and
the code takes its branches for a GPU. ``tests/gpu`` needs a real one.
"""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from trainables.augment.pipeline import augmentation
from trainables.backbones import BACKBONES
from trainables.config import Config, parse
from trainables.constants import _kept
from trainables.darts.found_network import DartsNetwork
from trainables.darts.genotype import PC_DARTS_CIFAR
from trainables.darts.operations import OPERATIONS
from trainables.darts.supernet import SuperNet
from trainables.datasets.opening import dataset_of
from trainables.methods import METHODS
from trainables.methods.mixing import Mixing
from trainables.methods.network import build_network
from trainables.mixers import MIXERS
from trainables.optimisation.optimisers import build_optimiser
from trainables.rehearsal import without_numbers

pytestmark = pytest.mark.slow
GPU = torch.device("cuda", 0)
SUMIX = {"sumix.lam": "learned", "sumix.regulariser": "su"}


class OnGpu(Generator):
    """A generator that says it is on the GPU; tensors without numbers take none from it."""

    device = GPU


def moved(module: nn.Module) -> nn.Module:
    """Move a module without numbers, whose tensors ``.to`` cannot replace."""
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    there = tensor.detach().to(GPU)
                    tensors[name] = nn.Parameter(there, tensor.requires_grad) if tensors is part._parameters else there
    return module


def configured(**keys: Any) -> Config:
    return parse({"dataset": "cifar10", "backbone": "resnet8", **keys})


@pytest.fixture(autouse=True)
def on_the_gpu(monkeypatch):
    """Let gradients be zero: torch takes the backward pass on a device that is there only.

    The constants on the GPU, which would be without numbers, are forgotten afterwards.
    """

    def grad(outputs: Any, inputs: Any, *args: Any, **options: Any) -> tuple[Tensor, ...]:
        return tuple(torch.zeros_like(each) for each in ((inputs,) if isinstance(inputs, Tensor) else inputs))

    monkeypatch.setattr(torch.autograd, "grad", grad)
    yield
    _kept.cache_clear()


@contextlib.contextmanager
def in_half() -> Iterator[None]:
    """Compute in bfloat16 as under ``torch.autocast``, which does nothing where there is no GPU."""
    usual = torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    torch.set_autocast_enabled("cuda", True)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.set_autocast_dtype("cuda", usual)


DEFINITIONS = itertools.product(
    ("train_grad", "train_nograd", "eval_nograd", "joint"), ("logits", "features", "probabilities"), ("row", "batch")
)
STEPS = [
    *((mixer, {}) for mixer in MIXERS),
    *((mixer, SUMIX) for mixer in MIXERS if mixer not in METHODS),
    *(("cutmix", keys) for keys in ({"clean_loss": 1.0}, {"mixer.probability": 0.5}, {"loss": "binary"})),
    *(
        ("cutmix", SUMIX | {"sumix.raw_forward": raw, "sumix.z": z, "sumix.lam_of": of, "sumix.lam_gradient": "flow"})
        for raw, z, of in DEFINITIONS
    ),
]


@pytest.mark.parametrize(("mixer", "keys"), STEPS, ids=str)
def test_a_step_of_every_mixer_and_every_definition_of_sumix(mixer, keys):
    network = {"backbone": "vit_tiny_32"} if mixer in ("transmix", "mergemix") else {}
    config = configured(mixer=mixer, **network, **keys)
    with without_numbers(), in_half():
        method = moved(METHODS.get(mixer, Mixing)(build_network(config), config).train())
        images = torch.rand(6, 3, 32, 32, device=GPU).to(memory_format=torch.channels_last)
        loss, _ = method(images, torch.zeros(6, dtype=torch.long, device=GPU), OnGpu())
        assert (loss.device, loss.dtype) == (GPU, torch.float32)


# pyramidnet200 has the blocks of pyramidnet110, and takes seconds.
@pytest.mark.parametrize("backbone", [name for name in BACKBONES if name != "pyramidnet200"])
def test_a_pass_of_every_backbone(backbone):
    config = configured(backbone=backbone, image_size=64)
    with without_numbers():
        network = moved(build_network(config))
        assert network(torch.rand(4, 3, 64, 64, device=GPU)).device == GPU


def test_sgd_reads_its_rate_and_has_a_momentum_there_before_its_first_step():
    config = configured()
    with without_numbers():
        network = moved(build_network(config))
        sgd = build_optimiser(config, config.lr, network)
        there = [group["lr"] for group in sgd.param_groups]
        there += [sgd.state[weight]["momentum_buffer"] for weight in network.parameters()]
        assert {tensor.device for tensor in there} == {GPU}


def test_adamw_has_no_momentum_before_its_first_step():
    config = configured(mixer="automix", optimiser="adamw", **{"mixer.block_momentum": 0.9})
    with without_numbers():
        assert not build_optimiser(config, config.lr, moved(METHODS["automix"](build_network(config), config))).state


def test_a_pass_of_both_networks_of_an_architecture_search():
    images = torch.rand(4, 3, 32, 32)
    with without_numbers():
        for network in (
            SuperNet(tuple(OPERATIONS), 16, 5, 10, 4, Generator()),
            DartsNetwork(PC_DARTS_CIFAR, 16, 8, 10, large=False, auxiliary=True),
        ):
            moved(network.train())(images.to(GPU))


AUGMENTS = [
    *({"augment": name, "image_size": size} for name in ("none", "crop_flip", "rrc_flip") for size in (32, 64)),
    *({"augment": "crop_flip", f"augment.{key}": 0.4} for key in ("jitter", "hue", "lighting", "erasing")),
    *({"augment": "rrc_flip", "augment.randaugment": name} for name in ("fixmatch", "increasing")),
]


@pytest.mark.parametrize("keys", AUGMENTS, ids=str)
def test_every_augmentation(keys):
    config = configured(**keys)
    augment = augmentation(config, dataset_of(config), streamed=False, own_size=False)
    with without_numbers():
        images = torch.zeros(6, 32, 32, 3, dtype=torch.uint8, device=GPU).permute(0, 3, 1, 2)
        assert augment(images, OnGpu()).device == GPU
