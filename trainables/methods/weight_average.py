"""The network that is tested is the exponential moving average of the one that is trained.

Polyak, Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control Optim. 1992, in the
exponential form of Tarvainen, Valpola, "Mean teachers are better role models", NIPS 2017 (arXiv:1703.01780).
"""

from typing import Any, cast

from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from trainables.backbones.backbone import Network
from trainables.methods.method import Method, Step


class WeightAverage(Method):
    """Trains as another method does, and tests the average of the network that it would test."""

    def __init__(self, method: Method, decay: float) -> None:
        super().__init__(method.network)
        self.method = method
        # Batch norm's statistics are averaged too; the average begins with the weights after the first step.
        self.average = AveragedModel(method.evaluated, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        self.average.requires_grad_(False)

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        """See ``Method.forward``."""
        return self.method(images, labels, rng)

    def after_step(self, progress: float) -> None:
        """See ``Method.after_step``."""
        self.method.after_step(progress)
        self.average.update_parameters(self.method.evaluated)

    def own_groups(self) -> list[dict[str, Any]]:
        """See ``Method.own_groups``."""
        return self.method.own_groups()

    @property
    def evaluated(self) -> Network:
        """Return the average."""
        return cast(Network, self.average.module)

    @property
    def also_tested(self) -> dict[str, nn.Module]:
        """See ``Method.also_tested``."""
        return self.method.also_tested

    @property
    def also_saved(self) -> dict[str, nn.Module]:
        """See ``Method.also_saved``."""
        return self.method.also_saved
