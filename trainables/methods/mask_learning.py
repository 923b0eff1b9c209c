"""AutoMix: it trains a classifier, its slow copy, and between them the block that makes the masks.

Liu et al., ECCV 2022 (arXiv:2103.13027), Eq. 8 and 10 to 12. The classifier learns from images as they are, by a head
of its own, and from mixed ones; the block learns from how well the slow copy, the teacher, recognises both images in
its mixtures. The teacher is tested, with its head for mixed images; the other three combinations are only logged.
With SUMix the loss of the classifier's mixed images is SUMix's.

Shape letters: B batch, C channels, D features, L classes.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from trainables.backbones.backbone import Network, read_out
from trainables.backbones.modes import evaluation_mode
from trainables.config import Config
from trainables.datasets.opening import dataset_of
from trainables.losses.mix_block import MixBlock, mask_loss, mask_weight_at
from trainables.methods.method import Step
from trainables.methods.mixing import Mixing, refuse_joint, require
from trainables.methods.mixture_album import Album
from trainables.methods.momentum_pipeline import follow, momentum, other_heads, plain_heads
from trainables.methods.network import build_network
from trainables.mixers.automix import draw, even_near_the_ends, mix_by, random_grids
from trainables.mixers.mixed import Mixed, alone


class AutoMixing(Mixing):
    """Trains a Mix Block and a classifier by ``mixer.pipeline``: the rows of the paper's Table 8.

    The default ``mp_ce`` is the whole of AutoMix. ``mp`` leaves out the unmixed images, and so does ``mp_m0``, where
    the teacher has the classifier's weights after every step. With ``none`` there is no teacher: one network sees the
    images, gets the masks' gradient, which flows on through the maps, and is tested.
    """

    mask_weight: Tensor  # () gamma

    def __init__(self, network: Network, config: Config) -> None:
        self.check(config)
        options, pipeline = config.mixer_options, pipeline_of(config)
        dataset, layer = dataset_of(config), options["layer"]
        last = len(network.backbone.stages) - 1
        if last == 0:
            raise ValueError(f"mixer {config.mixer!r} needs a backbone of several stages, got {config.backbone!r}")
        if not 1 <= layer <= last:
            raise ValueError(f"mixer.layer must lie in 1..{last} with backbone {config.backbone!r}, got {layer}")
        with evaluation_mode(network), torch.no_grad():
            maps = network.backbone.grid(network.encode(torch.zeros(1, *dataset.image_shape), layer + 1))
        # The block is drawn first, so that it starts the same with and without SUMix.
        block = self.make_block(maps.shape[1], options)
        super().__init__(network, config)
        self.block = block
        self.options = {**options, "pipeline": pipeline}
        self.depth = layer + 1  # stages up to the map, with the stem
        self.teacher: Network | None = None
        if pipeline != "none":
            self.teacher = build_network(config).requires_grad_(False)  # why it is no deep copy: see AttentiveMixing
            self.teacher.load_state_dict(network.state_dict())
        self.heads = plain_heads(network) if pipeline == "mp_ce" else None
        self.album = Album(dataset.image_shape, config.epochs)
        self.register_buffer("mask_weight", torch.tensor(options.get("mask_weight", 0.0)))  # a checkpoint holds it

    @staticmethod
    def check(config: Config) -> None:
        require(config, "has its own loss on the images as they are", {"clean_loss": 0})
        require(config, "mixes every batch", {"mixer.probability": 1})
        require(config, "makes the masks of a whole batch at once", {"mixer.groups": 1})
        refuse_joint(config, "makes its masks of a pass of its own")
        if pipeline_of(config) == "mp_ce":
            classifies = "classifies the images as they are in training mode and with gradient"
            require(config, classifies, {"sumix.raw_forward": "train_grad", "sumix.raw_statistics": "keep"})
        (first, most), (last, least) = (rate_of_block(config, name) for name in ("lr", "min_lr"))
        if least > most:
            raise ValueError(f"{last} must be at most {first}, {most}, got {least}")

    @staticmethod
    def make_block(channels: int, options: Mapping[str, Any]) -> nn.Module:
        """Return the block that makes masks from maps with this number of channels."""
        return MixBlock(channels, options["lam_channel"], options["value_of"])

    def forward(self, images: Tensor, labels: Tensor, rng: Generator) -> Step:
        """See ``Method.forward``: Eq. 8, in up to four passes of the two networks, on plain and on mixed images."""
        self.album.see(images)
        maps = self.maps(images)
        generate = partial(self.masks, maps, (images.shape[2], images.shape[3]), rng)
        options = self.options
        partner, lam = draw(len(images), options["alpha"], options["per_batch"], rng, options["derangement"])
        mask = generate(partner, lam)
        gap = self.mask_gap(mask, lam)
        of_masks = {"mask_gap": gap.detach(), "mask_spread": spread(mask.detach())}
        if self.teacher is None or self.options.get("masks") == "grids":
            even = even_near_the_ends(mask, lam, self.options["lam_margin"])
            loss, log = self.classification(images, mix_by(images, partner, lam, even), labels)
            return Step(loss + self.mask_weight * gap, log | of_masks)

        for_block = mix_by(images, partner, lam, mask)
        block_loss = self.loss(self.teacher(for_block.images), labels, for_block)  # gradient reaches the mask
        with torch.no_grad():
            mixed = self.mixer(images, rng, generate=generate)
        loss, log = self.classification(images, mixed, labels)
        log |= {"loss_block": block_loss.detach(), **of_masks}
        return Step(loss + block_loss + self.mask_weight * gap, log)

    def mask_gap(self, mask: Tensor, lam: Tensor) -> Tensor:
        """Return the loss of the masks themselves, (), before gamma: Eq. 7 for shares (B, 1, H, W) of the partner."""
        return mask_loss(mask, lam, self.options["mask_loss"], self.options["epsilon"])

    def classification(self, images: Tensor, mixed: Mixed, labels: Tensor) -> Step:
        """Return the classifier's loss on the images as they are, if it learns from them, and on the mixed ones."""
        if self.heads is None:
            return self.mixed_loss(self.encode_raw(images) if self.sumix else None, mixed, labels)
        raw = self.network.forward_features(images)
        one_loss = self.loss(read_out(self.heads[0], raw), labels, alone(images))
        loss, log = self.mixed_loss((raw, self.network.head(raw)), mixed, labels)
        return Step(loss + one_loss, log | {"loss_one": one_loss.detach()})

    def maps(self, images: Tensor) -> Tensor:
        """Return the maps (B, C, h, w) that the masks are made from: the teacher's, without gradient.

        The teacher's later stages see the images too, so that its batch statistics are of plain and of mixed images.
        """
        if self.teacher is None:
            return self.network.backbone.grid(self.network.encode(images, self.depth))
        with torch.no_grad():
            maps = self.teacher.encode(images, self.depth)
            self.teacher.forward_features(maps, self.depth)
            return self.teacher.backbone.grid(maps)

    def masks(self, maps: Tensor, size: tuple[int, int], rng: Generator, partner: Tensor, lam: Tensor) -> Tensor:
        """Return the partners' share of every pixel, (B, 1, H, W), from the maps (B, C, h, w)."""
        if self.options.get("masks") == "grids":
            return random_grids(lam, (maps.shape[2], maps.shape[3]), size, rng)
        return self.block(maps, maps[partner], lam, size)

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """See ``Method.after_step``: the teacher's weights follow, Eq. 12; its batch statistics are its own."""
        if self.teacher is not None:
            keep = momentum(progress, self.options)
            follow(self.teacher.parameters(), self.network.parameters(), keep)
            if self.heads is not None:
                follow(self.heads[1].parameters(), self.heads[0].parameters(), keep)
        if "mask_weight" in self.options:
            self.mask_weight.fill_(mask_weight_at(progress, self.options["mask_weight"], self.options["mask_decay"]))
        self.album.take(progress, self.shown_masks)

    def shown_masks(self, images: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
        """Return the partners' share of every pixel, (B, 1, H, W), in evaluation mode."""
        with evaluation_mode(self):
            size = (images.shape[2], images.shape[3])
            return self.masks(self.maps(images), size, Generator(images.device), partner, lam)

    def own_groups(self) -> list[dict[str, Any]]:
        """See ``Method.own_groups``: the block, where its learning rate or momentum is its own."""
        lr, least, momentum = (self.options[f"block_{name}"] for name in ("lr", "min_lr", "momentum"))
        if lr is None and least is None and momentum is None:
            return []
        group = {"params": list(self.block.parameters()), "peak_lr": lr, "min_lr": least, "momentum": momentum}
        return [{name: value for name, value in group.items() if value is not None}]

    @property
    def evaluated(self) -> Network:
        """Return the teacher with its head for mixed images, or the network where there is no teacher."""
        return self.teacher or self.network

    @property
    def also_tested(self) -> dict[str, nn.Module]:
        return {} if self.teacher is None else other_heads(self.network, self.teacher, self.heads)

    @property
    def also_saved(self) -> dict[str, nn.Module]:
        if self.options.get("masks") == "grids":
            return {}
        return {"mix_block": self.block, "mixtures": self.album}


def spread(mask: Tensor) -> Tensor:
    """Return how uneven masks (B, 1, H, W) are, (): each one's standard deviation, averaged over the batch.

    It is 0 where every pixel is mixed alike, as by mixup, which the paper's Fig. 6 calls a trivial solution.
    """
    return mask.flatten(1).std(dim=1, correction=0).mean()


def pipeline_of(config: Config) -> str:
    """Return the row of Table 8 that is trained; the whole of it unless another is chosen."""
    pipeline: str | None = config.mixer_options["pipeline"]
    return pipeline or "mp_ce"


def rate_of_block(config: Config, name: str) -> tuple[str, float]:
    """Return the key and the value of the block's ``lr`` or ``min_lr``: its own, or else the network's."""
    own = config.mixer_options[f"block_{name}"]
    return (name, getattr(config, name)) if own is None else (f"mixer.block_{name}", own)
