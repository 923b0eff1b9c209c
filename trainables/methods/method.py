"""The interface that the training loop knows: a method turns a batch into a loss.

A method owns its modules: the network, and whatever else is trained with it (the uncertainty layer
of SUMix, the generator and momentum encoder of AutoMix). The loop draws batches, steps the
optimiser over ``method.parameters()`` and calls ``after_step``; it has no branch on a mixer's name.
"""

from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from trainables.backbones.backbone import Network


class Step(NamedTuple):
    """The loss of one batch, and its entries in the log."""

    loss: Tensor  # ()
    log: dict[str, Tensor]  # (B,), () or (B, M) each; the loop reports the epoch's mean, of M columns one by one


class Method(nn.Module):
    """A way to train a network. ``forward`` must be overridden; the rest has a sensible default."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        """Return the loss of a batch of pixels (B, C, H, W) in [0, 1] before mixing, with labels (B,) int64.

        Every draw of the method is made by ``rng``, on the device of the images.
        """
        raise NotImplementedError

    def after_step(self, progress: float) -> None:
        """Follow up an optimiser step; ``progress`` is the share of the training done, in [0, 1]."""

    def own_groups(self) -> list[dict[str, Any]]:
        """Return the weights with an optimiser's settings of their own, as groups that torch's optimisers take.

        Besides those, ``peak_lr`` and ``min_lr`` are where the learning rate of such a group starts and ends.
        """
        return []

    @property
    def evaluated(self) -> Network:
        """Return the network that is tested and saved."""
        return self.network

    @property
    def also_tested(self) -> dict[str, nn.Module]:
        """Return other networks to test, from pixels (B, C, H, W) to logits (B, L), by their names in the log."""
        return {}

    @property
    def also_saved(self) -> dict[str, nn.Module]:
        """Return the modules of a finished run that are kept besides ``evaluated``, by the names of their files."""
        return {}


class Counting(nn.Module):
    """A module that counts on the host, so that no step waits for the device; a checkpoint holds the ``count``."""

    count = 0

    def get_extra_state(self) -> Tensor:
        """Return the count, (), for the checkpoint."""
        return torch.tensor(self.count)

    def set_extra_state(self, state: Tensor) -> None:
        """Go back to the count of a checkpoint."""
        self.count = int(state)
