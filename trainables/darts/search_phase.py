"""The first phase of a run: half of the images teach the weights of the supernet, and half its architecture."""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.darts.search_config import HALVES, SearchConfig
from trainables.darts.supernet import SuperNet
from trainables.darts.testing import FromPixels, mean_loss, normalised
from trainables.datasets.dataset import BatchSource, Splits
from trainables.datasets.opening import dataset_of, open_splits
from trainables.evaluation import Evaluation
from trainables.optimisation.schedules import cosine
from trainables.seeds import derive_seed, generator

ARCHITECTURE_BETAS = (0.5, 0.999)  # for Adam, as in DARTS


class SearchPhase:
    """The supernet, its two optimisers and the halves of the images."""

    def __init__(self, settings: SearchConfig, seed: int, splits: Splits, device: torch.device) -> None:
        self.settings, self.seed, self.device = settings, seed, device
        self.dataset = dataset_of(settings)
        opened = open_splits(replace(settings, validation=HALVES, evaluate="validation"), splits, device)
        assert opened.validation is not None  # it is a half
        self.sources: tuple[BatchSource, BatchSource] = (opened.train, opened.validation)
        self.fingerprint = opened.fingerprint
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "init"))
            sizes = (settings.search_channels, settings.search_cells, self.dataset.num_classes, settings.partial)
            self.supernet = SuperNet(settings.operations, *sizes, generator(seed, "architecture")).to(device)
        shown = FromPixels(self.supernet, self.dataset)
        self.test = Evaluation(settings, torch.float32, device, shown, graphed=False)
        self.weights = torch.optim.SGD(
            self.supernet.weights(), settings.search_lr, settings.momentum, weight_decay=settings.weight_decay
        )
        decay = settings.architecture_weight_decay
        self.architecture = torch.optim.Adam(
            self.supernet.architecture(), settings.architecture_lr, ARCHITECTURE_BETAS, weight_decay=decay
        )

    def epoch(self, number: int) -> dict[str, float]:
        """Alternate steps of the architecture, on one half, and of the weights, on the other half (first order)."""
        settings = self.settings
        for group in self.weights.param_groups:
            group["lr"] = cosine(settings.search_lr, settings.search_min_lr, (number - 1) / settings.search_epochs)
        batches = [
            source.train_batches(
                settings.search_batch_size,
                generator(self.seed, f"data-{half}", number),
                generator(self.seed, f"augment-{half}", number, self.device),
            )
            for half, source in zip(("weights", "architecture"), self.sources, strict=True)
        ]
        losses: list[tuple[Tensor, int]] = []
        self.supernet.train()
        for (images, labels), (others, theirs) in zip(*batches, strict=False):
            half = (normalised(others, self.dataset), theirs) if number > settings.frozen_epochs else None
            batch, optimisers = (normalised(images, self.dataset), labels), (self.weights, self.architecture)
            losses.append((search_step(self.supernet, optimisers, batch, half, settings.grad_clip), len(images)))
        return {"train_loss": mean_loss(losses), "search_top1": self.test(self.sources[1])["top1"]}

    @property
    def parts(self) -> dict[str, Any]:
        """Return the objects whose state a checkpoint holds."""
        return {"supernet": self.supernet, "weights": self.weights, "architecture": self.architecture}


def search_step(
    supernet: SuperNet,
    optimisers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    batch: tuple[Tensor, Tensor],
    other: tuple[Tensor, Tensor] | None,
    grad_clip: float,
) -> Tensor:
    """Take a step of the architecture on one batch, then of the weights on another, and return the latter's loss, ().

    The first optimiser and ``batch``, normalised images (B, 3, H, W) and labels (B,), are those of the weights;
    ``other`` is the same for the architecture, None while it is frozen.
    """
    of_weights, of_architecture = optimisers
    if other is not None:
        of_architecture.zero_grad()
        F.cross_entropy(supernet(other[0]), other[1]).backward()
        of_architecture.step()
    of_weights.zero_grad()
    loss = F.cross_entropy(supernet(batch[0]), batch[1])
    loss.backward()
    nn.utils.clip_grad_norm_(supernet.weights(), grad_clip)
    of_weights.step()
    return loss.detach()
