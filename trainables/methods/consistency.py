"""AugMix's loss: the images are classified, and two mixtures of each should get the same prediction as the image.

Hendrycks et al., ICLR 2020 (arXiv:1912.02781), with its Jensen-Shannon consistency. The mixtures
themselves are in ``mixers/augmix.py``.

Shape letters: B batch, L classes.
"""

import torch
from torch import Generator, Tensor

from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.device.precision import wide
from trainables.methods.method import Step
from trainables.methods.mixing import Mixing, require
from trainables.mixers.mixed import Mixed, alone

CONSISTENCY_WEIGHT = 12.0  # the paper's lambda


class AugMixing(Mixing):
    """Adds to the cross-entropy of the images alone 12 times the divergence of the three predictions of each.

    With ``mixer.legacy`` the loss is the cross-entropy of one mixture of each image that is normalised already.
    """

    def __init__(self, network: Network, config: Config) -> None:
        super().__init__(network, config)
        self.legacy: bool = config.mixer_options["legacy"]

    @staticmethod
    def check(config: Config) -> None:
        require(config, "mixes an image with itself", {"sumix.lam": "fixed", "sumix.regulariser": "none"})
        require(config, "has its own loss on the images as they are", {"clean_loss": 0})
        require(config, "mixes every batch", {"mixer.probability": 1})

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        """See ``Method.forward``; the network makes one pass over 3B images, or with ``legacy`` over B."""
        if self.legacy:
            return super().forward(images, labels, rng)
        views = [self.mix(images, labels, rng).images for _ in range(2)]
        logits = wide(self.network(torch.cat((images, *views)))).unflatten(0, (3, -1))  # (3, B, L)
        consistency = jensen_shannon(logits)
        loss = self.loss(logits[0], labels, alone(images)) + CONSISTENCY_WEIGHT * consistency
        return Step(loss, {"consistency": consistency.detach()})

    def mixture(self, images: Tensor, labels: Tensor, rng: Generator) -> Mixed:
        return super().mixture(self.network.normalise(images) if self.legacy else images, labels, rng)


def jensen_shannon(logits: Tensor) -> Tensor:
    """Return the divergence of predictions (number, B, L) from their mean, averaged over the batch, (), in nats."""
    log_p = logits.log_softmax(dim=-1)
    log_mean = log_p.exp().mean(dim=0).clamp(1e-7, 1).log()
    return (log_p.exp() * (log_p - log_mean)).sum(dim=-1).mean()
