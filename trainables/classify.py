"""Trains an image classifier: the loop, one epoch after another.

    metrics = train({"dataset": "cifar10", "backbone": "resnet8", "epochs": 2}, seed=0)

Every random number comes from a generator derived from (seed, purpose, epoch), so a run that is
interrupted and goes on from its last finished epoch ends with the same numbers.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from trainables.augment import crop_and_flip
from trainables.backbones.backbone import Network
from trainables.config import Config, flatten, parse
from trainables.datasets import DATASETS
from trainables.datasets.dataset import Dataset, Split, Splits
from trainables.datasets.resident import Resident, fingerprint, load_cached, subset
from trainables.methods import build_method
from trainables.recipes import PRESETS
from trainables.seeds import derive_seed, generator

AUGMENTATIONS: dict[str, Callable[..., Tensor] | None] = {"crop_flip": crop_and_flip, "none": None}
TEST_BATCH = 500
LAST_EPOCHS = 10  # the papers report the median over these

Metrics = dict[str, Any]


class Report(Protocol):
    """Takes the metrics of a finished epoch, and a function that writes a checkpoint into a folder."""

    def __call__(self, metrics: Metrics, save: Callable[[Path], None]) -> None:
        """Called by the loop after every epoch."""


class Diverged(Exception):
    """The training loss became infinite or not a number."""


class Classification:
    """The trainable of every classification study, and what a platform asks of it before it starts."""

    presets = PRESETS

    def __call__(
        self,
        config: Mapping[str, Any],
        seed: int,
        report: Report = lambda metrics, save: None,
        resume_from: Path | None = None,
    ) -> Metrics:
        """Train and test one network.

        Args:
            config: dotted keys of ``trainables.config``, and ``data_root``, the folder of the data sets.
            seed: of everything random.
            report: called after each epoch with ``epoch`` (from 1), ``train_loss``, ``train_seconds``,
                ``test_top1`` and ``test_top5`` (percent), and after the last also with the summary.
            resume_from: a folder that ``save`` wrote to; training goes on after its last epoch.

        Returns:
            The metrics of the last epoch, with ``test_top1_last``, ``test_top1_median10`` and
            ``test_top1_best`` (percent).

        Raises:
            ValueError: the configuration is wrong.
            DataError: the data set is missing or broken.
            Diverged: the loss is not finite.
        """
        settings = parse({key: value for key, value in config.items() if key != "data_root"})
        splits = _load(settings, Path(config.get("data_root", "data")))
        run = Run(settings, seed, DATASETS[settings.dataset], splits)
        if resume_from is not None:
            run.restore(Path(resume_from))
        while not run.finished:
            run.next_epoch()
            report(run.metrics(), run.save)
        return run.metrics()

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Every key that determines a run's numbers, with defaults; ``ValueError`` for what cannot be run."""
        settings = parse(config)
        dataset = DATASETS[settings.dataset]
        for key, given, there in (
            ("train_images", settings.train_images, dataset.num_train),
            ("test_images", settings.test_images, dataset.num_test),
        ):
            if given is not None and given > there:
                raise ValueError(f"{key} must be at most {there}, the size of {dataset.name}, got {given}")
        return flatten(settings)

    def prepare(self, config: Mapping[str, Any], data_root: Path) -> None:
        """Have the data set of ``config`` verified under ``data_root``; ``DataError`` where it cannot be had."""
        DATASETS[parse(config).dataset].prepare(data_root)

    def estimate_seconds(self, config: Mapping[str, Any]) -> float:
        """Roughly how long a run takes on this machine, from one timed step on noise; labelled so where shown."""
        settings = parse(config)
        dataset = DATASETS[settings.dataset]
        size = settings.batch_size if torch.cuda.is_available() else min(settings.batch_size, 20)
        noise = torch.randint(0, 256, (size, *dataset.image_shape), dtype=torch.uint8)
        split = Split(noise, torch.arange(size) % dataset.num_classes)
        run = Run(settings, 0, dataset, Splits(split, split))
        run.train_epoch(1)  # the first step also builds kernels and caches
        _, train_seconds = run.train_epoch(2)
        start = time.perf_counter()
        run.test()
        test_seconds = time.perf_counter() - start
        num_train = settings.train_images or dataset.num_train
        num_test = settings.test_images or dataset.num_test
        return settings.epochs * (train_seconds * num_train + test_seconds * num_test) / size


train = Classification()


class Run:
    """The state of one training run: what a checkpoint holds, and how an epoch changes it."""

    def __init__(self, settings: Config, seed: int, dataset: Dataset, splits: Splits) -> None:
        self.settings = settings
        self.seed = seed
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
        self.train_set = Resident(splits.train, self.device, augment=AUGMENTATIONS[settings.augment])
        self.test_set = Resident(splits.test, self.device, augment=None)
        self.data = fingerprint(splits)
        self.method = build_method(settings, dataset, seed)
        self.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.SGD(
            self.method.parameters(),
            lr=settings.lr,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=settings.weight_decay,
        )
        self.precision = _precision(settings.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == torch.float16)
        self.history: list[Metrics] = []  # one entry a finished epoch

    @property
    def finished(self) -> bool:
        """Whether every epoch is done."""
        return len(self.history) == self.settings.epochs

    def next_epoch(self) -> None:
        """Train and test one more epoch, and add it to the history."""
        epoch = len(self.history) + 1
        log, seconds = self.train_epoch(epoch)
        if not math.isfinite(log["train_loss"]):
            raise Diverged(f"the training loss became {log['train_loss']} in epoch {epoch}")
        self.history.append({"epoch": epoch, **log, "train_seconds": seconds, **self.test()})

    def train_epoch(self, epoch: int) -> tuple[dict[str, float], float]:
        """One pass over the training set: the epoch's mean loss and log, and its seconds."""
        torch.manual_seed(derive_seed(self.seed, "network", epoch))  # drop-path and dropout
        lr = cosine(self.settings.lr, epoch - 1, self.settings.epochs)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        order = generator(self.seed, "data", epoch)
        augment = generator(self.seed, "augment", epoch, self.device)
        mixer = generator(self.seed, "mixer", epoch, self.device)
        sums: dict[str, Tensor] = {}
        start = time.perf_counter()
        self.method.train()
        for images, labels in self.train_set.train_batches(self.settings.batch_size, order, augment):
            with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
                loss, log = self.method(images, labels, mixer)
            self.optimiser.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.method.after_step((epoch - 1) / self.settings.epochs)
            for name, value in {"train_loss": loss.detach(), **log}.items():
                # Summed on the device, in float64: reading a number each step would stall a GPU.
                total = value.detach().double().mean() * len(images)
                sums[name] = sums[name] + total if name in sums else total
        means = {name: float(total) / len(self.train_set) for name, total in sums.items()}
        return means, time.perf_counter() - start

    @torch.no_grad()
    def test(self) -> dict[str, float]:
        """Top-1 and top-5 accuracy on the test set, in percent."""
        network = self.method.evaluated.eval()
        hits = torch.zeros(2, dtype=torch.long, device=self.device)
        for images, labels in self.test_set.test_batches(TEST_BATCH):
            with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
                logits = network(images)
            best = logits.topk(min(5, logits.shape[1])).indices  # (B, 5)
            hit = best == labels[:, None]
            hits += torch.stack((hit[:, 0].sum(), hit.sum()))
        top1, top5 = (100 * hits.double() / len(self.test_set)).tolist()
        return {"test_top1": top1, "test_top5": top5}

    def metrics(self) -> Metrics:
        """The last epoch's metrics, ``epochs`` in all, the data's fingerprint; at the end also the summary."""
        latest = {**self.history[-1], "epochs": self.settings.epochs, "data": self.data}
        return {**latest, **summary(self.history)} if self.finished else latest

    def save(self, folder: Path) -> None:
        """Write ``training.pt``, and after the last epoch ``model.pt``, the backbone's state_dict, into ``folder``."""
        state = {
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "history": self.history,
        }
        torch.save(state, folder / "training.pt")
        if self.finished:
            torch.save(model_state(self.method.evaluated), folder / "model.pt")

    def restore(self, folder: Path) -> None:
        """Go back to the state that ``save`` wrote."""
        state = torch.load(folder / "training.pt", map_location=self.device, weights_only=True)
        self.method.load_state_dict(state["method"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.history = state["history"]


def cosine(lr: float, done: int, epochs: int) -> float:
    """The learning rate after ``done`` of ``epochs`` epochs, from ``lr`` to 0 (Loshchilov and Hutter, 2017)."""
    return lr * (1 + math.cos(math.pi * done / epochs)) / 2


def summary(history: list[Metrics]) -> Metrics:
    """Accuracy of the last epoch, the median of the last ten (of all, if fewer), and the best, in percent."""
    top1 = [epoch["test_top1"] for epoch in history]
    return {
        "test_top1_last": top1[-1],
        "test_top1_median10": statistics.median(top1[-LAST_EPOCHS:]),
        "test_top1_best": max(top1),
    }


def model_state(network: Network) -> dict[str, Tensor]:
    """The backbone's state_dict on the CPU, in the plain memory format: readable anywhere."""
    return {name: value.cpu().contiguous() for name, value in network.backbone.state_dict().items()}


def _load(settings: Config, data_root: Path) -> Splits:
    splits = load_cached(settings.dataset, data_root)
    train = splits.train if settings.train_images is None else subset(splits.train, settings.train_images)
    test = splits.test if settings.test_images is None else subset(splits.test, settings.test_images)
    return Splits(train, test)


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    """``auto`` is float32 on the CPU, bfloat16 on a GPU that computes in it, else float16."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
