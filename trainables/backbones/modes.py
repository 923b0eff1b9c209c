"""Evaluation mode: a block that runs in it, and the batch norms that it changes."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def batch_norms(network: nn.Module) -> list[BatchNorm]:
    """Return the batch norms that use running statistics in evaluation mode."""
    return [m for m in network.modules() if isinstance(m, BatchNorm) and m.track_running_stats]


@contextmanager
def evaluation_mode(model: object) -> Iterator[None]:
    """Put every module of ``model`` into evaluation mode inside the block, then back into its own mode.

    A function that is not a module has no mode, and is left alone.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
