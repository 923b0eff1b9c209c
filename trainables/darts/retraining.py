"""The second phase of a run: the network of a genotype is trained from scratch, and tested."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.darts.found_network import DartsNetwork, flops, parameters
from trainables.darts.genotype import Genotype
from trainables.darts.search_config import SMALL_SIDE, SearchConfig
from trainables.darts.testing import FromPixels, mean_loss, normalised
from trainables.datasets.opening import Opened, dataset_of
from trainables.evaluation import Evaluation
from trainables.mixers.cutout import cutout
from trainables.optimisation.schedules import cosine
from trainables.seeds import derive_seed, generator

SLOW = 5  # the last epochs, in which the linear learning rate falls in all as far as in one epoch before


class Retraining:
    """The network that was found, and its optimiser."""

    def __init__(
        self, settings: SearchConfig, seed: int, genotype: Genotype, images: Opened, device: torch.device
    ) -> None:
        self.settings, self.seed, self.device = settings, seed, device
        self.dataset = dataset_of(settings.retrained)
        assert images.test is not None  # evaluate is "test"
        self.train_set, self.test_set = images.train, images.test
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "init-found"))
            sizes = (settings.channels, settings.cells, self.dataset.num_classes)
            self.large = settings.retrained.side > SMALL_SIDE
            network = DartsNetwork(genotype, *sizes, large=self.large, auxiliary=settings.auxiliary > 0)
        self.network = network.to(device)
        shown = FromPixels(self.network, self.dataset)
        self.test = Evaluation(settings.retrained, torch.float32, device, shown, graphed=False)
        decay = settings.weight_decay if settings.retrain.weight_decay is None else settings.retrain.weight_decay
        weights = self.network.parameters()
        self.weights = torch.optim.SGD(weights, settings.lr, settings.momentum, weight_decay=decay)

    def epoch(self, number: int, done: int) -> dict[str, float]:
        """Make one pass over the training images, and test; ``done`` epochs of this phase are over.

        The random numbers follow from the number of the epoch in the run.
        """
        settings, retrain, network = self.settings, self.settings.retrain, self.network
        network.drop_path = settings.drop_path * (done / settings.epochs)
        lr = retraining_rate(retrain.schedule, settings.lr, done, settings.epochs, retrain.warmup_epochs)
        for group in self.weights.param_groups:
            group["lr"] = lr
        order, augment = generator(self.seed, "data", number), generator(self.seed, "augment", number, self.device)
        squares = generator(self.seed, "mixer", number, self.device)
        losses: list[tuple[Tensor, int]] = []
        network.train()
        for images, labels in self.train_set.train_batches(settings.batch_size, order, augment):
            if settings.cutout:
                images = cutout(images, squares, length=settings.cutout).images
            self.weights.zero_grad()
            part_size = settings.batch_size // retrain.accumulate
            for part, theirs in zip(images.split(part_size), labels.split(part_size), strict=True):
                loss = self._loss(part, theirs)
                (loss * (len(part) / len(images))).backward()
                losses.append((loss.detach(), len(part)))
            nn.utils.clip_grad_norm_(network.parameters(), settings.grad_clip)
            self.weights.step()
        tested = self.test(self.test_set)
        errors = {f"test_{name}_error": 100 - tested[name] for name in ("top1", "top5")}
        return {"train_loss": mean_loss(losses), **errors, "test_top1": 100 - errors["test_top1_error"]}

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        smoothing = self.settings.retrain.label_smoothing
        pixels = normalised(images, self.dataset)
        if self.large and self.device.type == "cpu":
            # In channels_last, oneDNN writes beyond its memory in the backward pass of a 1x1 convolution to fewer than
            # eight channels that halves a map of 56x56 (torch 2.15).
            pixels = pixels.contiguous()
        logits, second = self.network(pixels)
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        if second is not None:
            loss = loss + self.settings.auxiliary * F.cross_entropy(second, labels, label_smoothing=smoothing)
        return loss

    def sizes(self) -> dict[str, float]:
        """Return the parameters and the millions of operations of the network in testing."""
        operations = flops(self.network, self.dataset.image_shape)
        return {"params": float(parameters(self.network)), "mflops": operations / 1e6}

    @property
    def parts(self) -> dict[str, Any]:
        """Return the objects whose state a checkpoint holds."""
        return {"network": self.network, "weights": self.weights}


def linear(lr: float, done: int, epochs: int) -> float:
    """Return the learning rate after ``done`` of ``epochs`` epochs, as PC-DARTS lowers it on ImageNet.

    It falls by the same step in each epoch, and by a fifth of it in each of the last five. A run of five epochs or
    fewer, of which PC-DARTS has none, falls in equal steps.
    """
    left = epochs - done
    if epochs <= SLOW:
        return lr * left / epochs
    return lr * (left - SLOW) / (epochs - SLOW) if left > SLOW else lr * left / (SLOW * (epochs - SLOW))


def retraining_rate(schedule: str, lr: float, done: int, epochs: int, warmup_epochs: int) -> float:
    """Return the rate of the epoch that follows ``done`` others; it rises to ``lr`` in the first ``warmup_epochs``."""
    if done < warmup_epochs:
        return lr * (done + 1) / warmup_epochs
    return linear(lr, done, epochs) if schedule == "linear" else cosine(lr, 0.0, done / epochs)
