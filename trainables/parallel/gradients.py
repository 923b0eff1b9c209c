"""Adds up the gradients of the processes that train one network together."""

import contextlib

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from trainables.parallel import rows


def shared(method: nn.Module) -> nn.Module:
    """Return ``method`` itself, or where several processes train together, with gradients that are their mean."""
    if rows.count() == 1:
        return method
    # Some methods leave weights out of some steps. Statistics of batch norms are the same in every process already.
    return DistributedDataParallel(method, forward_sync_buffers=False, find_unused_parameters=True)


def gradients_kept(method: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
    """Return a block whose gradients the processes add up by themselves, until the ``last`` part of a batch."""
    return method.no_sync() if isinstance(method, DistributedDataParallel) and not last else contextlib.nullcontext()
