"""The network that is tested is the exponential moving average of the one that is trained.

Polyak, Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control Optim. 1992, in the
exponential form of Tarvainen, Valpola, "Mean teachers are better role models", NIPS 2017 (arXiv:1703.01780).
"""

import copy
from typing import Any

import torch
from torch import Generator, Tensor, nn

from trainables.backbones.backbone import Network
from trainables.methods.method import Counting, Method, Step
from trainables.methods.momentum_pipeline import follow


class WeightAverage(Counting, Method):
    """Trains as another method does, and tests the average of the network that it would test.

    Batch norm's statistics are averaged too. The average begins with the weights after the first step. Torch's
    ``AveragedModel`` would serve, but it reads back from the device in every step whether this is the first.
    """

    def __init__(self, method: Method, decay: float) -> None:
        super().__init__(method.network)
        self.method = method
        self.average = copy.deepcopy(method.evaluated).requires_grad_(False)
        self.decay = decay

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        return self.method(images, labels, rng)

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        self.method.after_step(progress)
        keep = self.decay if self.count else 0.0
        follow(self.average.state_dict().values(), self.method.evaluated.state_dict().values(), keep)
        self.count += 1

    def own_groups(self) -> list[dict[str, Any]]:
        return self.method.own_groups()

    @property
    def evaluated(self) -> Network:
        """Return the average."""
        return self.average

    @property
    def also_tested(self) -> dict[str, nn.Module]:
        return self.method.also_tested

    @property
    def also_saved(self) -> dict[str, nn.Module]:
        return self.method.also_saved
