"""Batch norm by the statistics of all processes' rows.

Torch's ``SyncBatchNorm`` works on GPUs alone, and replaces modules. This works on any device, and on every module that
calls ``torch.nn.functional.batch_norm``, such as those of timm that also activate.

Shape letters: b rows of this process, C channels.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from trainables.device.precision import wide


class SharedBatchNorm(TorchFunctionMode):
    """A block inside which batch norms in training mode take the statistics of all processes' rows."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``shared_batch_norm`` in place of torch's, and every other function unchanged."""
        return (shared_batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def shared_batch_norm(
    x: Tensor,  # (b, C, ...)
    running_mean: Tensor | None,  # (C,)
    running_var: Tensor | None,  # (C,)
    weight: Tensor | None = None,  # (C,)
    bias: Tensor | None = None,  # (C,)
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return this process's share of what ``torch.nn.functional.batch_norm`` would return for all processes' rows.

    The number of rows may differ between processes.
    """
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    mean, var, size = _statistics(x.detach())
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((var * (size / (size - 1))).to(running_var.dtype), momentum)
    scale = torch.ones_like(mean) if weight is None else weight
    return _Normalised.apply(x, scale, torch.zeros_like(mean) if bias is None else bias, mean, var, size, eps)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance of each channel over all processes, (C,), and the number of values in each, ().

    They are combined from those of each process, and not from sums of squares, in which digits cancel.
    """
    var, mean = torch.var_mean(wide(x), dim=_all_but_channels(x), correction=0)
    size = torch.full_like(mean, x.numel() // x.shape[1])
    own = torch.stack((mean, var, size))
    every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(every, own)
    means, variances, sizes = torch.stack(every, dim=1)  # (processes, C) each
    shares = sizes / sizes.sum(dim=0)
    mean = (shares * means).sum(dim=0)
    return mean, (shares * (variances + (means - mean).square())).sum(dim=0), sizes[:, 0].sum()


class _Normalised(Function):
    """Rows by statistics that depend on the rows of every process."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, size: Tensor, eps: float
    ) -> Tensor:
        """Return rows of the shape of ``x``."""
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt(), size)
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the rows, of the weight and of the bias; the latter two for this process's rows."""
        x, weight, mean, rate, size = ctx.saved_tensors
        dims, shape = _all_but_channels(x), (1, -1, *[1] * (x.ndim - 2))
        flow = wide(gradient)
        unit = (wide(x) - mean.view(shape)) * rate.view(shape)
        own = torch.stack((flow.sum(dim=dims), (flow * unit).sum(dim=dims)))  # (2, C)
        whole = own.clone()
        dist.all_reduce(whole)
        by_mean, by_deviation = (whole / size).view(2, *shape)
        rows = (flow - by_mean - unit * by_deviation) * (rate * weight).view(shape)
        return rows.to(x.dtype), own[1].to(weight.dtype), own[0].to(weight.dtype), None, None, None, None


def _all_but_channels(x: Tensor) -> list[int]:
    return [dim for dim in range(x.ndim) if dim != 1]
