"""A small network in its method, and the batch that it is tried with."""

from typing import Any

import torch
from torch import Generator, Tensor

from trainables.config import flatten, parse
from trainables.methods import Method, build_method

B = 6
LABELS = torch.tensor([3, 1, 4, 1, 5, 9])


def pixels(rows: int = B, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(rows, 3, 16, 12, generator=Generator().manual_seed(5)).to(dtype)


def method_for(mixer: str, seed: int = 0, **keys):
    """Return the method of a mixer on CIFAR-10; ``mixer__alpha`` is the key ``mixer.alpha``."""
    dotted = {key.replace("__", "."): value for key, value in keys.items()}
    # With the residual branches at zero, as om_table starts them, some weights get no gradient in the first step.
    config = parse({"dataset": "cifar10", "backbone": "resnet8", "init": "torch_default", "mixer": mixer, **dotted})
    assert parse(flatten(config)) == config
    return build_method(config, seed).train()


def step(method: Method, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    images = pixels(dtype=next(method.parameters()).dtype)
    loss, log = method(images, LABELS, torch.Generator().manual_seed(seed))
    loss.backward()
    return loss.detach(), log


def gradients(method: Method) -> list[Any]:
    return [p.grad for p in method.parameters() if p.requires_grad]


def draw_weights(block: torch.nn.Module, seed: int = 3) -> None:
    """Draw weights with which the masks of a block in float64 are not all the same."""
    rng = Generator().manual_seed(seed)
    for parameter in block.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / 4)


def require_equal_gradients(block: torch.nn.Module, ours: Tensor, theirs: Tensor) -> None:
    """Check that two computations of a mask agree, and all their gradients."""
    torch.testing.assert_close(ours, theirs)
    direction = torch.randn(ours.shape, dtype=ours.dtype, generator=Generator().manual_seed(9))
    parameters = list(block.parameters())
    gradients = [torch.autograd.grad((m * direction).sum(), parameters, allow_unused=True) for m in (ours, theirs)]
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)
