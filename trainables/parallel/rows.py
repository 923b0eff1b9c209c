"""Each of several processes computes some rows of every batch, and all know the whole.

Every process holds the network, draws the same whole batch from the same seeds, mixes it, and computes the loss of the
whole batch. The network alone is shared out: ``spread`` runs it on the rows of this process and joins the results of
all. So a method computes from them, across any rows, the same as in one process.

Gradients follow from two rules. Behind the joined rows every process has the gradient of the whole batch; inside the
network a process has that of its own rows, times the number of processes. The mean over the processes, which
``DistributedDataParallel`` takes, is therefore in both the gradient of a process that trains alone.

Shape letters: B rows of the whole batch, b those of this process.
"""

import contextlib
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel

from trainables.parallel.batch_norm import SharedBatchNorm


def count() -> int:
    """Return the number of processes that train together, 1 for a process that trains alone."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process among them, counted from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def shares(total: int, parts: int) -> list[slice]:
    """Return the rows of each of the ``parts`` of a batch of ``total`` rows, as even as possible."""
    edges = [total * number // parts for number in range(parts + 1)]
    return [slice(*pair) for pair in itertools.pairwise(edges)]


def own_rows(total: int) -> slice:
    """Return the rows of a batch of ``total`` that this process computes."""
    return shares(total, count())[rank()]


def spread(network: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """Return ``network(batch)``, (B, ...), of which each process computes its own rows.

    The network treats each row by itself, except for its batch norms, which in training mode take the statistics of the
    whole batch (B, ...), the same in every process. A batch of fewer rows than processes is computed by each of them.
    """
    total = len(batch)
    if total < count() or count() == 1:
        return network(batch)
    own = _Taken.apply(batch) if batch.requires_grad else batch[own_rows(total)]
    with SharedBatchNorm():
        return _Joined.apply(network(own), total)


def shared(method: nn.Module) -> nn.Module:
    """Return ``method`` itself, or where several processes train together, with gradients that are their mean."""
    if count() == 1:
        return method
    # Statistics of batch norms are the same in every process already; torch 2.13 has another name for this than 2.11.
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {name: False}
    # Some methods leave weights out of some steps.
    return DistributedDataParallel(method, find_unused_parameters=True, **options)


def gradients_kept(method: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
    """Return a block whose gradients the processes add up by themselves, until the ``last`` part of a batch."""
    return method.no_sync() if isinstance(method, DistributedDataParallel) and not last else contextlib.nullcontext()


class _Taken(Function):
    """The rows of this process; the backward pass joins the gradients of all."""

    @staticmethod
    def forward(ctx: Any, batch: Tensor) -> Tensor:
        """Return rows (b, ...) of a batch (B, ...)."""
        ctx.total = len(batch)
        return batch[own_rows(len(batch))].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of the whole batch (B, ...)."""
        return _join(gradient / count(), ctx.total)


class _Joined(Function):
    """The rows of all processes."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, total: int) -> Tensor:
        """Return the whole batch (B, ...) from rows (b, ...)."""
        ctx.total = total
        return _join(own, total)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of the rows of this process, times the number of processes."""
        return gradient[own_rows(ctx.total)] * count(), None


def _join(own: Tensor, total: int) -> Tensor:
    """Return the rows of all processes (B, ...); adding zeros changes no number."""
    whole = own.new_zeros(total, *own.shape[1:])
    whole[own_rows(total)] = own
    dist.all_reduce(whole)
    return whole
