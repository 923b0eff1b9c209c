"""Trains an image classifier: the loop, one epoch after another.

    metrics = train({"dataset": "cifar10", "backbone": "resnet8", "epochs": 2}, seed=0)

Every random number comes from a generator derived from (seed, purpose, epoch), so a run that is
interrupted and goes on from its last finished epoch ends with the same numbers.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables import memory
from trainables.backbones.backbone import Network
from trainables.backbones.pretrained import Weights, load_pretrained, prepare_pretrained
from trainables.config import Config, flatten, parse
from trainables.datasets import DATASETS
from trainables.datasets.dataset import BatchSource, Split, Splits
from trainables.datasets.opening import Opened, dataset_of, open_dataset, open_splits, prepare
from trainables.methods import build_method, rehearse
from trainables.methods.inputs import asks_the_network
from trainables.optimisers import build_optimiser
from trainables.recipes import PRESETS
from trainables.schedules import learning_rate
from trainables.seeds import derive_seed, generator

TEST_BATCH = 500  # images of up to 80 pixels a side; fewer of larger ones, so that memory does not grow with them
SLOW_STEP = 0.5  # seconds; a timed step that takes longer is repeated once only, and tried on no larger batch
PLACE = ("data_root", "workers")  # keys that say where a run runs, and move none of its numbers
UNKNOWN_IMAGES = 10_000  # what an estimate takes a folder to hold
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
            config: dotted keys of ``trainables.config``; ``data_root``, the folder of the data sets; and
                ``workers``, the processes that decode images which are streamed.
            seed: of everything random.
            report: called after each epoch with ``epoch`` (from 1), ``train_loss``, ``train_seconds``,
                ``test_top1`` and ``test_top5`` (percent), and after the last also with the summary. With a
                validation split also ``val_top1`` and ``val_loss``; and where that is what ``evaluate``
                says, no test metrics.
            resume_from: a folder that ``save`` wrote to; training goes on after its last epoch.

        Returns:
            The metrics of the last epoch, with ``test_top1_last``, ``test_top1_median10`` and
            ``test_top1_best`` (percent), the same of ``val_top1``, and ``peak_memory_mib``.

        Raises:
            ValueError: the configuration is wrong.
            DataError: the data set is missing or broken.
            Diverged: the loss is not finite.
        """
        settings = parse({key: value for key, value in config.items() if key not in PLACE})
        memory.forget_peak()
        data_root = Path(config.get("data_root", "data"))
        data = open_dataset(settings, data_root, device(), workers=config.get("workers"))
        run = Run(settings, seed, data, load_pretrained(settings.backbone, settings.pretrained, data_root))
        if resume_from is not None:
            run.restore(Path(resume_from))
        while not run.finished:
            run.next_epoch()
            report(run.metrics(), run.save)
        return run.metrics()

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Every key that determines a run's numbers, with defaults; ``ValueError`` for what cannot be run."""
        settings = parse(config)
        if asks_the_network(settings.mixer) or settings.sumix.preset == "release":
            rehearse(settings, dataset_of(settings))  # a layer or token that the backbone lacks, more images than two
        return flatten(settings)

    def prepare(self, config: Mapping[str, Any], data_root: Path) -> None:
        """Have the data set and weights of ``config`` verified under ``data_root``; ``DataError`` if they cannot be."""
        settings = parse(config)
        prepare(settings, data_root)
        if settings.pretrained != "none":
            prepare_pretrained(settings.backbone, settings.pretrained, data_root)

    def objectives(self, config: Mapping[str, Any]) -> list[str]:
        """The metrics of every epoch that a search may optimise; those of the test set are not among them."""
        return ["train_loss", *(("val_top1", "val_loss") if parse(config).validation else ())]

    def estimate_seconds(self, config: Mapping[str, Any]) -> float:
        """Roughly how long a run takes on this machine, from a few timed steps on noise; labelled so where shown."""
        settings = parse(config)
        dataset = DATASETS[settings.dataset]
        sizes = (settings.batch_size,) if torch.cuda.is_available() else (4, 20)
        for size in sizes:
            train_seconds, test_seconds = step_seconds(settings, min(size, settings.batch_size))
            if train_seconds > SLOW_STEP:  # of a large network a larger batch would tell little more
                break
        num_train = settings.train_images or dataset.num_train or UNKNOWN_IMAGES
        num_test = settings.test_images or dataset.num_test or UNKNOWN_IMAGES
        seconds = train_seconds * num_train + test_seconds * num_test
        return settings.epochs * seconds / min(size, settings.batch_size)


train = Classification()


def step_seconds(settings: Config, size: int) -> tuple[float, float]:
    """How long a step on ``size`` images of noise takes in training, and in testing."""
    whole = replace(settings, train_images=None, test_images=None, validation=0.0, evaluate="test", drop_last=False)
    noise = torch.randint(0, 256, (size, *DATASETS[settings.dataset].image_shape), dtype=torch.uint8)
    split = Split(noise, torch.arange(size) % dataset_of(settings).num_classes)
    run = Run(whole, 0, open_splits(whole, Splits(split, split), device()))
    first = run.train_epoch(1)[1]
    # The fastest of a few: the first also builds kernels and caches, and others may be using the machine.
    train_seconds = min(first, *(run.train_epoch(1)[1] for _ in range(1 if first > SLOW_STEP else 2)))
    start = time.perf_counter()
    run.evaluate(run.train_set)
    return train_seconds, time.perf_counter() - start


class Run:
    """The state of one training run: what a checkpoint holds, and how an epoch changes it."""

    def __init__(self, settings: Config, seed: int, data: Opened, weights: Weights | None = None) -> None:
        self.settings = settings
        self.seed = seed
        self.device = device()
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
        self.train_set = data.train
        self.validation_set = data.validation
        self.test_set = data.test
        self.data = data.fingerprint
        if self.steps == 0:
            raise ValueError(f"drop_last leaves no batch of {settings.batch_size} in {len(data.train)} training images")
        self.method = build_method(settings, dataset_of(settings), seed, weights)
        self.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = build_optimiser(settings, settings.lr, self.method)
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
        self.history.append({"epoch": epoch, **log, "train_seconds": seconds, **self.evaluation()})

    def train_epoch(self, epoch: int) -> tuple[dict[str, float], float]:
        """One pass over the training set: the epoch's mean loss and log, and its seconds."""
        torch.manual_seed(derive_seed(self.seed, "network", epoch))  # drop-path and dropout
        order = generator(self.seed, "data", epoch)
        augment = generator(self.seed, "augment", epoch, self.device)
        mixer = generator(self.seed, "mixer", epoch, self.device)
        sums: dict[str, Tensor] = {}
        seen = 0  # less than the training set where images that cannot be decoded are skipped
        start = time.perf_counter()
        self.method.train()
        batches = self.train_set.train_batches(self.settings.batch_size, order, augment)
        for step, (images, labels) in enumerate(batches):
            if self.settings.drop_last and len(images) < self.settings.batch_size:
                continue
            self.set_lr(epoch - 1 + step / self.steps)
            with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
                loss, log = self.method(images, labels, mixer)
            self.optimiser.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            if self.settings.grad_clip is not None:
                self.scaler.unscale_(self.optimiser)
                torch.nn.utils.clip_grad_norm_(self.method.parameters(), self.settings.grad_clip)
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.method.after_step((epoch - 1 + (step + 1) / self.steps) / self.settings.epochs)
            seen += len(images)
            for name, value in {"train_loss": loss.detach(), **log}.items():
                # Summed on the device, in float64: reading a number each step would stall a GPU.
                total = value.detach().double().mean() * len(images)
                sums[name] = sums[name] + total if name in sums else total
        means = {name: float(total) / seen for name, total in sums.items()}
        return means, time.perf_counter() - start

    @property
    def steps(self) -> int:
        """Batches an epoch; fewer where images cannot be decoded."""
        whole, rest = divmod(len(self.train_set), self.settings.batch_size)
        return whole + (rest > 0 and not self.settings.drop_last)

    def set_lr(self, done: float) -> None:
        """The learning rate of the step that is taken when ``done`` epochs are over."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, done)

    def evaluation(self) -> Metrics:
        """``val_*`` of the validation split and ``test_*`` of the test set, as far as the run may see them."""
        metrics: Metrics = {}
        if self.validation_set is not None:
            found = self.evaluate(self.validation_set)
            metrics.update(val_top1=found["top1"], val_loss=found["loss"])
        if self.test_set is not None:
            found = self.evaluate(self.test_set)
            metrics.update(test_top1=found["top1"], test_top5=found["top5"])
        return metrics

    @torch.no_grad()
    def evaluate(self, source: BatchSource) -> dict[str, float]:
        """``top1`` and ``top5``, in percent, and ``loss``, the mean cross-entropy, of ``source``."""
        network = self.method.evaluated.eval()
        hits = torch.zeros(2, dtype=torch.long, device=self.device)
        loss = torch.zeros((), dtype=torch.double, device=self.device)
        seen = 0
        for images, labels in source.test_batches(self.test_batch):
            with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
                logits = network(images)
            best = logits.topk(min(5, logits.shape[1])).indices  # (B, 5)
            hit = best == labels[:, None]
            hits += torch.stack((hit[:, 0].sum(), hit.sum()))
            loss += cross_entropy(logits.double(), labels, reduction="sum")
            seen += len(labels)
        top1, top5 = (100 * hits.double() / seen).tolist()
        return {"top1": top1, "top5": top5, "loss": float(loss) / seen}

    @property
    def test_batch(self) -> int:
        """Images a batch in testing."""
        side = self.settings.test_size or dataset_of(self.settings).image_shape[1]
        return min(TEST_BATCH, max(1, TEST_BATCH * 80**2 // side**2))

    def metrics(self) -> Metrics:
        """The last epoch's metrics, ``epochs`` in all, the data's fingerprint; at the end also the summary."""
        latest = {**self.history[-1], "epochs": self.settings.epochs, "data": self.data}
        if not self.finished:
            return latest
        peak = memory.peak_mib(self.device)
        if self.device.type != "cuda":
            sources = (self.train_set, self.validation_set, self.test_set)
            peak += max(source.workers_mib for source in sources if source is not None)
        return {**latest, **summary(self.history), "peak_memory_mib": peak}

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


def summary(history: list[Metrics]) -> Metrics:
    """Accuracy of the last epoch, the median of the last ten (of all, if fewer), and the best, in percent.

    Of ``test_top1`` and of ``val_top1``, whichever the run has.
    """
    found: Metrics = {}
    for metric in ("test_top1", "val_top1"):
        if metric in history[-1]:
            top1 = [epoch[metric] for epoch in history]
            found[f"{metric}_last"] = top1[-1]
            found[f"{metric}_median10"] = statistics.median(top1[-LAST_EPOCHS:])
            found[f"{metric}_best"] = max(top1)
    return found


def model_state(network: Network) -> dict[str, Tensor]:
    """The backbone's state_dict on the CPU, in the plain memory format: readable anywhere."""
    return {name: value.cpu().contiguous() for name, value in network.backbone.state_dict().items()}


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    """``auto`` is float32 on the CPU, bfloat16 on a GPU that computes in it, else float16."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
