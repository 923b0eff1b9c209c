"""AutoMix: a classifier, its slow copy, and between them the block that makes the masks.

Liu et al., ECCV 2022 (arXiv:2103.13027). The classifier learns from images as they are, by a head of its own, and from
mixed ones; the block learns from how well the slow copy, the teacher, recognises both images in what it mixes. The
teacher is what is tested: with its head for mixed images, whatever the other three would give (all are logged). With
SUMix the loss of the classifier's mixed images is SUMix's.

Shape letters: B batch, C channels, D features, L classes.
"""

from functools import partial

import torch
from torch import Generator, Tensor, nn

from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets.opening import dataset_of
from trainables.losses.mix_block import MixBlock, mask_loss, mask_weight_at, teacher_momentum
from trainables.methods.inputs import evaluation_mode
from trainables.methods.method import Step
from trainables.methods.mixing import Mixing
from trainables.methods.network import build_network
from trainables.mixers.automix import draw, mix_by
from trainables.mixers.mixed import alone


class AutoMixing(Mixing):
    """``network`` with its head is the classifier of mixed images, ``head_one`` reads its features of plain ones."""

    mask_weight: Tensor  # () gamma

    def __init__(self, network: Network, config: Config, num_classes: int) -> None:
        if config.clean_loss:
            raise ValueError(
                f"mixer 'automix' has its own loss on the images as they are, got clean_loss {config.clean_loss}"
            )
        if config.sumix.raw_forward != "train_grad":
            raise ValueError(
                "mixer 'automix' classifies the images as they are with gradient: sumix.raw_forward must be "
                f"'train_grad', got {config.sumix.raw_forward!r}"
            )
        dataset, layer = dataset_of(config), config.mixer_options["layer"]
        last = len(network.backbone.stages) - 1
        if not 1 <= layer <= last:
            raise ValueError(f"mixer.layer must lie in 1..{last} for {config.backbone}, got {layer}")
        with evaluation_mode(network), torch.no_grad():
            maps = network.backbone.grid(network.encode(torch.zeros(1, *dataset.image_shape), layer + 1))
        block = MixBlock(maps.shape[1], config.mixer_options["lam_channel"])  # first: it starts alike with SUMix
        super().__init__(network, config, num_classes)
        self.block = block
        self.options = config.mixer_options
        self.depth = layer + 1  # stages up to the map, with the stem
        self.teacher = build_network(config, dataset).requires_grad_(False)
        self.teacher.load_state_dict(network.state_dict())
        self.head_one = nn.Linear(network.backbone.head.in_features, num_classes)
        self.teacher_head_one = nn.Linear(network.backbone.head.in_features, num_classes).requires_grad_(False)
        for head in (self.head_one, self.teacher_head_one):  # all start as the first was drawn
            head.load_state_dict(network.backbone.head.state_dict())
        self.register_buffer("mask_weight", torch.tensor(self.options["mask_weight"]))  # a run goes on with it

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        """See ``Method.forward``. Four passes: both networks on the images as they are, and each on a mixed batch."""
        generate = partial(self.masks, self.seen_by_teacher(images), (images.shape[2], images.shape[3]))

        partner, lam = draw(len(images), self.options["alpha"], self.options["per_batch"], rng)
        mask = generate(partner, lam)
        for_block = mix_by(images, partner, lam, mask)
        block_loss = self.loss(self.teacher(for_block.images), labels, for_block)  # through the teacher to the mask
        gap = mask_loss(mask, lam, self.options["mask_loss"])

        raw = self.network.forward_features(images)
        one_loss = self.loss(self.head_one(raw), labels, alone(images))
        with torch.no_grad():
            mixed = self.mixer(images, rng, generate=generate)
        loss, log = self.mixed_loss((raw, self.network.head(raw)), mixed, labels)
        log |= {"loss_one": one_loss.detach(), "loss_block": block_loss.detach(), "mask_gap": gap.detach()}
        return Step(loss + one_loss + block_loss + self.mask_weight * gap, log)

    def seen_by_teacher(self, images: Tensor) -> Tensor:
        """(B, C, h, w) the teacher's map of the images, without gradient.

        Its later stages see the images too: a teacher keeps batch statistics of its own, of plain and mixed images.
        """
        with torch.no_grad():
            maps = self.teacher.encode(images, self.depth)
            self.teacher.forward_features(maps, self.depth)
            return self.teacher.backbone.grid(maps)

    def masks(self, maps: Tensor, size: tuple[int, int], partner: Tensor, lam: Tensor) -> Tensor:
        """(B, 1, H, W) the partners' share of every pixel, from the teacher's maps (B, C, h, w)."""
        return self.block(maps, maps[partner], lam, size)

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """See ``Method.after_step``: the teacher's weights follow; its batch statistics are its own."""
        keep = teacher_momentum(progress, self.options["first_momentum"], self.options["last_momentum"])
        for slow, fast in ((self.teacher, self.network), (self.teacher_head_one, self.head_one)):
            for slow_weight, weight in zip(slow.parameters(), fast.parameters(), strict=True):
                slow_weight.lerp_(weight, 1 - keep)
        self.mask_weight.fill_(mask_weight_at(progress, self.options["mask_weight"], self.options["mask_decay"]))

    @property
    def evaluated(self) -> Network:
        """The teacher with its head for mixed images."""
        return self.teacher

    @property
    def also_tested(self) -> dict[str, nn.Module]:
        """The other heads: OpenMixup reports the best of the four, which is a choice by the test set."""
        return {
            "teacher_one": _Headed(self.teacher, self.teacher_head_one),
            "student_mixed": self.network,
            "student_one": _Headed(self.network, self.head_one),
        }


class _Headed(nn.Module):
    """A network's features, read by another head."""

    def __init__(self, network: Network, head: nn.Linear) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """(B, L) logits from pixels (B, C, H, W)."""
        return self.head(self.network.forward_features(images))
