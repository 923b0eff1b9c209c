"""AdAutoMix's training: in every second step the mask generator works against the slow copy of the classifier.

Jin, Zhu, Li, Wang, Liu, Yu, Wang, El-Yacoubi, "Adversarial AutoMixup", ICLR 2024 (arXiv:2312.11954); the details are
those of the official code.

Shape letters: B batch, K images of a mixture, C channels, h and w of a map, H and W of the image, L classes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from trainables.backbones.backbone import Network, read_out
from trainables.backbones.modes import batch_norms
from trainables.config import Config
from trainables.device.precision import wide
from trainables.losses.mix_block import attended, draw_small, with_channel
from trainables.methods.mask_learning import AutoMixing, pipeline_of
from trainables.methods.method import Step
from trainables.methods.mixing import require
from trainables.mixers.adautomix import IMAGES, draw_three
from trainables.mixers.mixed import Mixed, alone, blend_by_masks


class AdAutoMixing(AutoMixing):
    """Trains the generator and a classifier; its slow copy is tested as AutoMix's is.

    The classifier learns from mixtures by masks and, with half the weight each, from the images as they are and from
    their even mixtures. The paper and the official code subtract the loss and add the likeness, so that the generator
    is rewarded for mixtures that the slow copy does not recognise and that look unlike their images to it; the option
    ``likeness`` has the other sign.
    """

    step: Tensor  # () int64, counted from 0

    def __init__(self, network: Network, config: Config) -> None:
        super().__init__(network, config)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))  # a checkpoint holds it

    @staticmethod
    def check(config: Config) -> None:
        if pipeline_of(config) != "mp_ce":
            require(config, "needs its whole pipeline", {"mixer.pipeline": "mp_ce"})
        AutoMixing.check(config)

    @staticmethod
    def make_block(channels: int, options: Mapping[str, Any]) -> nn.Module:
        return AdversarialBlock(channels, options["lam_channel"])

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        """See ``Method.forward``; there are six passes of the two networks.

        The official code classifies the images once for each place in a mixture. The logits are the same every time,
        but batch norm counts each pass, so that the slow copy is tested with statistics of mostly plain images; here
        one pass counts as all of them.
        """
        assert self.teacher is not None
        maps = self.maps(images)
        self.album.see(images)

        def generate(sources: Tensor, lam: Tensor) -> Tensor:
            return self.block(maps[sources], lam, (images.shape[2], images.shape[3]))

        sources, lam = draw_three(len(images), self.options["alpha"], self.options["per_batch"], rng)
        for_block = Mixed(blend_by_masks(images, sources, generate(sources, lam)), sources, lam)
        of_mixed = self.teacher(for_block.images)
        with torch.no_grad(), counted(self.teacher, IMAGES):
            logits = self.teacher(images)  # (B, L)
        block_loss = self.loss(of_mixed, labels, for_block)
        alike = likeness(of_mixed.float(), logits[sources].float(), lam)
        beta = self.options["adversarial_share"]
        unlike = 1 - beta if self.options["likeness"] == "lowered" else beta - 1
        # This selects by arithmetic: a branch would read a number from the device.
        against = (self.step % 2 == 0).to(block_loss.dtype)
        generation = against * (unlike * alike - beta * block_loss) + (1 - against) * block_loss

        with torch.no_grad():
            mixed = self.mixer(images, rng, generate=generate)
        loss, log = self.classification(images, mixed, labels)
        log |= {"loss_block": block_loss.detach(), "likeness": alike.detach()}
        return Step(loss + generation, log)

    def classification(self, images: Tensor, mixed: Mixed, labels: Tensor) -> Step:
        """Return the classifier's loss on mixtures by masks, on the images as they are, and on even mixtures."""
        assert self.heads is not None
        raw = self.network.forward_features(images)
        one_loss = self.loss(read_out(self.heads[0], raw), labels, alone(images))
        even = blend_by_masks(images, mixed.sources, mixed.weights[:, :, None, None])
        even_loss = self.loss(self.network(even), labels, mixed)
        loss, log = self.mixed_loss((raw, self.network.head(raw)), mixed, labels)
        share = self.options["plain_mixing"]
        loss = loss + (1 - share) * one_loss + share * even_loss
        return Step(loss, log | {"loss_one": one_loss.detach(), "loss_even": even_loss.detach()})

    def masks(self, maps: Tensor, size: tuple[int, int], rng: Generator, partner: Tensor, lam: Tensor) -> Tensor:
        """See ``AutoMixing.masks``, for what is shown; a third image, the partner's partner, has a share of 0."""
        sources = torch.stack((torch.arange(len(maps), device=maps.device), partner, partner[partner]), dim=1)
        shares = torch.stack((lam, 1 - lam, torch.zeros_like(lam)), dim=1)
        return 1 - self.block(maps[sources], shares, size)[:, :1]

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        super().after_step(progress)
        self.step += 1


class AdversarialBlock(nn.Module):
    """Lets each position of an image attend to the positions of all others together, and has a value of its own.

    Queries and keys are not negative, as in the official code, whose modules of convolution end in a ReLU.
    """

    def __init__(self, channels: int, lam_channel: bool) -> None:
        super().__init__()
        self.lam_channel = lam_channel
        self.query = nn.Conv2d(channels + lam_channel, channels // 2, 1)
        self.key = nn.Conv2d(channels + lam_channel, channels // 2, 1)
        self.value = nn.Conv2d(channels + lam_channel, 1, 1)
        draw_small(self)

    def forward(self, maps: Tensor, lam: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the share of each image in every pixel, (B, K, H, W), float32; the shares of a pixel sum to 1.

        The maps are (B, K, C, h, w), and ``lam`` (B, K) the shares in the label.
        """
        with torch.autocast(maps.device.type, enabled=False):
            flat = wide(maps).flatten(0, 1)  # (BK, C, h, w)
            if self.lam_channel:
                flat = with_channel(flat, lam.flatten())
            keys = self.key(flat).relu().unflatten(0, lam.shape)  # (B, K, C/2, h, w)
            others = keys.sum(dim=1, keepdim=True) - keys  # the scores are linear in the keys
            seen = attended(self.query(flat).relu(), others.flatten(0, 1), self.value(flat))  # (BK, 1, h, w)
            seen = seen.squeeze(1).unflatten(0, lam.shape)
            return F.interpolate(seen, size=size, mode="bilinear", align_corners=False).softmax(dim=1)


@contextmanager
def counted(network: nn.Module, times: int) -> Iterator[None]:
    """Let the batch norms of ``network`` count the pass inside the block as ``times`` passes over the same images.

    One without a momentum, which averages over all passes, counts it once.
    """
    momenta = [(norm, norm.momentum) for norm in batch_norms(network) if norm.momentum is not None]
    for norm, momentum in momenta:
        norm.momentum = 1 - (1 - momentum) ** times
    yield
    for norm, momentum in momenta:
        norm.momentum = momentum
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked += times - 1


def likeness(logits: Tensor, source_logits: Tensor, lam: Tensor) -> Tensor:
    """Return the mean over the batch, (), of the cosine between a mixture's logits and its sources', by their shares.

    The logits are (B, L) of the mixtures and (B, K, L) of their sources; the shares are (B, K).
    """
    return (lam * F.cosine_similarity(logits[:, None], source_logits, dim=-1)).sum(dim=1).mean()
