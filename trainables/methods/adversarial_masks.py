"""AdAutoMix's training: in every second step the generator works against the slow copy of the classifier.

Jin et al., ICLR 2024 (arXiv:2312.11954). The generator is in ``losses/adversarial_block.py``.

Shape letters: B batch, K images of a mixture, C channels, H height, W width, L classes.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from trainables.backbones.backbone import Network, read_out
from trainables.backbones.modes import evaluation_mode
from trainables.config import Config
from trainables.losses.adversarial_block import AdversarialBlock, likeness
from trainables.methods.mask_learning import AutoMixing, pipeline_of
from trainables.methods.method import Step
from trainables.methods.mixing import require
from trainables.mixers.adautomix import draw_three, mix_three
from trainables.mixers.mixed import alone


class AdAutoMixing(AutoMixing):
    """Trains the generator and a classifier; its slow copy is tested as AutoMix's is.

    The classifier learns from mixtures by masks, and half each from the images as they are and from their even
    mixtures. The paper and the official code subtract the loss and add the likeness, so that the generator is
    rewarded for mixtures that the slow copy does not recognise and that look unlike their images to it; the option
    ``likeness`` has the other sign.
    """

    step: Tensor  # () int64, counted from 0

    def __init__(self, network: Network, config: Config) -> None:
        super().__init__(network, config)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))  # a checkpoint holds it

    @staticmethod
    def check(config: Config) -> None:
        """See ``Mixing.check``."""
        require(config, "needs its whole pipeline", "mixer.pipeline", pipeline_of(config), "mp_ce")
        AutoMixing.check(config)

    @staticmethod
    def make_block(channels: int, options: Mapping[str, Any]) -> nn.Module:
        """See ``AutoMixing.make_block``."""
        return AdversarialBlock(channels, options["lam_channel"])

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        """See ``Method.forward``; there are six passes of the two networks."""
        assert self.teacher is not None
        with torch.no_grad():
            maps = self.teacher.encode(images, self.depth)
            logits = self.teacher.head(self.teacher.forward_features(maps, self.depth))  # (B, L)
            maps = self.teacher.backbone.grid(maps)
        self.album.see(images)
        generate = partial(self.shares, maps, (images.shape[2], images.shape[3]))
        sources, lam = draw_three(len(images), self.options["alpha"], self.options["per_batch"], rng)
        for_block = mix_three(images, sources, lam, generate(sources, lam))
        of_mixed = self.teacher(for_block.images)
        block_loss = self.loss(of_mixed, labels, for_block)
        alike = likeness(of_mixed.float(), logits[sources].float(), lam)
        beta = self.options["adversarial_share"]
        unlike = 1 - beta if self.options["likeness"] == "lowered" else beta - 1
        # Without a branch on a number of the device.
        against = (self.step % 2 == 0).to(block_loss.dtype)
        generation = against * (unlike * alike - beta * block_loss) + (1 - against) * block_loss

        with torch.no_grad():
            mixed = self.mixer(images, rng, generate=generate)
        loss, log = self.classification(images, mixed, labels)
        log |= {"loss_block": block_loss.detach(), "likeness": alike.detach()}
        return Step(loss + generation, log)

    def classification(self, images: Tensor, mixed: Any, labels: Tensor) -> Step:
        """Return the classifier's loss on mixtures by masks, on the images as they are, and on even mixtures."""
        assert self.heads is not None
        raw = self.network.forward_features(images)
        one_loss = self.loss(read_out(self.heads[0], raw), labels, alone(images))
        even = mix_three(images, mixed.sources, mixed.weights, mixed.weights[:, :, None, None])
        even_loss = self.loss(self.network(even.images), labels, even)
        loss, log = self.mixed_loss((raw, self.network.head(raw)), mixed, labels)
        share = self.options["plain_mixing"]
        loss = loss + (1 - share) * one_loss + share * even_loss
        return Step(loss, log | {"loss_one": one_loss.detach(), "loss_even": even_loss.detach()})

    def shares(self, maps: Tensor, size: tuple[int, int], sources: Tensor, lam: Tensor) -> Tensor:
        """Return the share of each source in every pixel, (B, K, H, W), from the maps (B, C, h, w)."""
        return self.block(maps[sources], lam, size)

    def shown_masks(self, images: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
        """See ``AutoMixing.shown_masks``; a third image, the partner's partner, has no share in the label."""
        with evaluation_mode(self):
            sources = torch.stack((torch.arange(len(images), device=images.device), partner, partner[partner]), dim=1)
            shares = torch.stack((lam, 1 - lam, torch.zeros_like(lam)), dim=1)
            masks = self.shares(self.maps(images), (images.shape[2], images.shape[3]), sources, shares)
            return 1 - masks[:, :1]

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """See ``Method.after_step``."""
        super().after_step(progress)
        self.step += 1
