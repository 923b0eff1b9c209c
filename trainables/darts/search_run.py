"""One run: a search on half of the images for each of its two questions, then the training of what was found.

Every random number comes from a generator derived from (seed, purpose, epoch), so a run that is interrupted and resumed
after its last finished epoch ends with the same numbers.
"""

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.darts.found_network import DartsNetwork, flops, parameters
from trainables.darts.genotype import Genotype
from trainables.darts.search_config import HALVES, SearchConfig
from trainables.darts.supernet import SuperNet
from trainables.datasets.data_config import NO_SUBSET
from trainables.datasets.dataset import BatchSource, Splits
from trainables.datasets.opening import dataset_of, open_splits
from trainables.epoch import Diverged, Epoch
from trainables.mixers.cutout import cutout
from trainables.seeds import derive_seed, generator
from trainables.training import TEST_BATCH, environment, model_state

ARCHITECTURE_BETAS = (0.5, 0.999)  # of Adam, as in DARTS


class SearchRun:
    """The state of one run: what a checkpoint holds, and how an epoch changes it."""

    def __init__(self, settings: SearchConfig, seed: int, splits: Splits, device: torch.device) -> None:
        self.settings, self.seed, self.device = settings, seed, device
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        self.dataset = dataset_of(settings)
        halved = replace(settings, validation=HALVES, evaluate="validation")
        # Whatever the search sees, the second phase trains on all images.
        seen, whole = (open_splits(part, splits, device) for part in (halved, replace(settings, subset=NO_SUBSET)))
        assert seen.validation is not None  # validation is a half
        assert whole.test is not None  # evaluate is "test"
        self.searched: tuple[BatchSource, BatchSource] = (seen.train, seen.validation)
        self.train_set, self.test_set = whole.train, whole.test
        self.words = {"data": seen.fingerprint, **environment(device)}
        self.history: list[Epoch] = []
        self.genotype: Genotype | None = None  # known after the search
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "init"))
            sizes = (settings.search_channels, settings.search_cells, self.dataset.num_classes, settings.partial)
            self.supernet = SuperNet(settings.operations, *sizes, generator(seed, "architecture")).to(device)
        self.weights = self._sgd(self.supernet.weights(), settings.search_lr)
        decay = settings.architecture_weight_decay
        self.architecture = torch.optim.Adam(
            self.supernet.architecture(), settings.architecture_lr, ARCHITECTURE_BETAS, weight_decay=decay
        )
        self.network: DartsNetwork | None = None

    @property
    def epochs(self) -> int:
        """Return the number of epochs of both phases."""
        return self.settings.search_epochs + self.settings.epochs

    @property
    def finished(self) -> bool:
        """Return whether every epoch is done."""
        return len(self.history) == self.epochs

    def next_epoch(self) -> None:
        """Search or train one more epoch, and add it to the history."""
        number, start = len(self.history) + 1, time.perf_counter()
        torch.manual_seed(derive_seed(self.seed, "network", number))  # drop-path
        searching = number <= self.settings.search_epochs
        metrics = self._search_epoch(number) if searching else self._train_epoch(number)
        if not math.isfinite(metrics["train_loss"]):
            raise Diverged(f"the training loss became {metrics['train_loss']} in epoch {number}")
        metrics["train_seconds"] = time.perf_counter() - start
        if number == self.settings.search_epochs:
            self._build(self.supernet.genotype())
        if not searching:
            error = 100 - self.top1(self.test_set)
            metrics |= {"test_top1_error": error, "test_top1": 100 - error}
        if number == self.epochs:
            metrics |= self._whole_run(metrics["train_seconds"])
        self.history.append(Epoch(number, self.epochs, metrics, self.words, {}))

    def _search_epoch(self, number: int) -> dict[str, float]:
        """First order: a step of the architecture on a batch of one half, then one of the weights on the other half."""
        settings = self.settings
        for group in self.weights.param_groups:
            group["lr"] = _cosine(settings.search_lr, settings.search_min_lr, (number - 1) / settings.search_epochs)
        batches = [
            source.train_batches(
                settings.search_batch_size,
                generator(self.seed, f"data-{half}", number),
                generator(self.seed, f"augment-{half}", number, self.device),
            )
            for half, source in zip(("weights", "architecture"), self.searched, strict=True)
        ]
        losses: list[tuple[float, int]] = []
        self.supernet.train()
        for (images, labels), (others, theirs) in zip(*batches, strict=False):
            half = (self._normalised(others), theirs) if number > settings.frozen_epochs else None
            optimisers = (self.weights, self.architecture)
            loss = search_step(self.supernet, optimisers, (self._normalised(images), labels), half, settings.grad_clip)
            losses.append((loss, len(images)))
        return {"train_loss": _mean(losses), "search_top1": self.top1(self.searched[1])}

    def _train_epoch(self, number: int) -> dict[str, float]:
        settings, network = self.settings, self.network
        assert network is not None  # it was built after the search
        done = (number - settings.search_epochs - 1) / settings.epochs
        network.drop_path = settings.drop_path * done
        for group in self.weights.param_groups:
            group["lr"] = _cosine(settings.lr, 0.0, done)
        order, augment = generator(self.seed, "data", number), generator(self.seed, "augment", number, self.device)
        squares = generator(self.seed, "mixer", number, self.device)
        losses: list[tuple[float, int]] = []
        network.train()
        for images, labels in self.train_set.train_batches(settings.batch_size, order, augment):
            if settings.cutout:
                images = cutout(images, squares, length=settings.cutout).images
            logits, second = network(self._normalised(images))
            loss = F.cross_entropy(logits, labels)
            if second is not None:
                loss = loss + settings.auxiliary * F.cross_entropy(second, labels)
            self.weights.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), settings.grad_clip)
            self.weights.step()
            losses.append((loss.item(), len(images)))
        return {"train_loss": _mean(losses)}

    @torch.no_grad()
    def top1(self, source: BatchSource) -> float:
        """Return the accuracy, in percent, of the network of the phase."""
        hits = seen = 0
        model: nn.Module = self.supernet if self.network is None else self.network
        model.eval()
        for images, labels in source.test_batches(TEST_BATCH):
            found = model(self._normalised(images))
            logits: Tensor = found if self.network is None else found[0]
            hits += int((logits.argmax(dim=1) == labels).sum())
            seen += len(labels)
        return 100 * hits / seen

    def _build(self, genotype: Genotype) -> None:
        """Start the second phase: the network of the genotype, drawn from the seed."""
        settings = self.settings
        self.genotype = genotype
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "init-found"))
            sizes = (settings.channels, settings.cells, self.dataset.num_classes)
            self.network = DartsNetwork(genotype, *sizes, auxiliary=settings.auxiliary > 0).to(self.device)
        self.weights = self._sgd(self.network.parameters(), settings.lr)

    def _whole_run(self, last: float) -> dict[str, float]:
        assert self.network is not None  # both phases are over
        times = [*(epoch.metrics["train_seconds"] for epoch in self.history), last]
        return {
            "search_seconds": math.fsum(times[: self.settings.search_epochs]),
            "train_seconds_total": math.fsum(times[self.settings.search_epochs :]),
            "params": float(parameters(self.network)),
            "mflops": flops(self.network, self.dataset.image_shape) / 1e6,
        }

    def _sgd(self, parameters: Any, lr: float) -> torch.optim.SGD:
        settings = self.settings
        return torch.optim.SGD(parameters, lr, momentum=settings.momentum, weight_decay=settings.weight_decay)

    def _normalised(self, images: Tensor) -> Tensor:
        mean, std = (images.new_tensor(values).view(1, -1, 1, 1) for values in (self.dataset.mean, self.dataset.std))
        return (images - mean) / std

    def save(self, folder: Path) -> None:
        """Write ``training.pt``, ``genotype.json`` once it is known, and ``model.pt`` after the last epoch."""
        state = {
            "history": [tuple(epoch) for epoch in self.history],
            "genotype": None if self.genotype is None else self.genotype.json(),
            "supernet": self.supernet.state_dict(),
            "network": None if self.network is None else self.network.state_dict(),
            "weights": self.weights.state_dict(),
            "architecture": self.architecture.state_dict(),
        }
        torch.save(state, folder / "training.pt")
        if self.genotype is not None:
            (folder / "genotype.json").write_text(json.dumps(self.genotype.json()), encoding="utf-8")
        if self.finished and self.network is not None:
            torch.save(model_state(self.network), folder / "model.pt")

    def restore(self, folder: Path) -> None:
        """Go back to the state that ``save`` wrote."""
        state = torch.load(folder / "training.pt", map_location=self.device, weights_only=True)
        self.history = [Epoch(*epoch) for epoch in state["history"]]
        self.supernet.load_state_dict(state["supernet"])
        self.architecture.load_state_dict(state["architecture"])
        if state["genotype"] is not None:
            self._build(Genotype.of(state["genotype"]))
            assert self.network is not None  # it was just built
            self.network.load_state_dict(state["network"])
        self.weights.load_state_dict(state["weights"])


def search_step(
    supernet: SuperNet,
    optimisers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    batch: tuple[Tensor, Tensor],
    other: tuple[Tensor, Tensor] | None,
    grad_clip: float,
) -> float:
    """Take a step of the architecture on one batch and then of the weights on another, and return the latter's loss.

    Args:
        supernet: in training mode.
        optimisers: of the weights and of the architecture.
        batch: normalised images (B, 3, H, W) and labels (B,) for the weights.
        other: the same for the architecture; None while it is frozen.
        grad_clip: the greatest length of the gradient of all weights together.
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
    return loss.item()


def _cosine(first: float, last: float, done: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * done)) / 2


def _mean(losses: list[tuple[float, int]]) -> float:
    return math.fsum(loss * count for loss, count in losses) / sum(count for _, count in losses)
