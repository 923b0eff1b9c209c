"""One training run: its state, which a checkpoint holds and an epoch changes.

Every random number comes from a generator derived from (seed, purpose, epoch), so a run that is
interrupted and resumed after its last finished epoch ends with the same numbers.
"""

import contextlib
import itertools
import math
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn

from trainables.backbones.pretrained import Weights
from trainables.config import Config
from trainables.datasets.opening import Opened, dataset_of
from trainables.device import memory
from trainables.device.compilation import compile_speedup, compile_stages
from trainables.device.cuda_graph import GraphedStep, takes_graph
from trainables.device.hardware import device, environment, precision_of, set_up
from trainables.epoch import Epoch, require_finite
from trainables.evaluation import Evaluation, Tested, rounded
from trainables.methods import build_method
from trainables.optimisation.optimisers import build_optimiser, group_sizes, load_optimiser, set_lr
from trainables.parallel import rows
from trainables.recalibration import recalibrated
from trainables.rehearsal import check_batches
from trainables.seeds import derive_seed, generator


class Run:
    """The state of one training run, which a checkpoint holds and an epoch changes."""

    def __init__(self, settings: Config, seed: int, data: Opened, weights: Weights | None = None) -> None:
        self.settings = settings
        self.seed = seed
        self.device = device()
        self.held_mib = memory.forget_peak()  # held before this run, the data set included, which is kept for the next
        set_up(deterministic=settings.deterministic)
        self.train_set = data.train
        self.validation_set = data.validation
        self.test_set = data.test
        self.words = {"data": data.fingerprint, **environment(self.device)}
        if rows.count() > 1:
            self.words["hardware"] = f"{rows.count()} x {self.words['hardware']}"
        check_batches(settings, len(data.train))
        self.method = build_method(settings, seed, weights)
        self.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.compile:
            compile_stages(self.method)
        self.trained = rows.shared(self.method)
        self.optimiser = build_optimiser(settings, settings.lr, self.method)
        self.precision = precision_of(settings.precision, self.device)
        half = self.precision != torch.float32
        self.autocast = partial(torch.autocast, self.device.type, self.precision, enabled=half)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == torch.float16)
        self.mixer_rng = Generator(self.device)
        self.sums: dict[str, Tensor] = {}  # sums of the loss and the log over an epoch's images; () or (M,)
        graphed = self.device.type == "cuda" and takes_graph(settings)
        self.graphed = GraphedStep(settings.batch_size, self.mixer_rng) if graphed else None
        testing = partial(Evaluation, settings, self.precision, self.device, graphed=graphed)
        self.evaluate = testing(self.method.evaluated)
        self.evaluate_also = {name: testing(network) for name, network in self.method.also_tested.items()}
        self.tested: list[Tested] = []  # batches of the test set, after the last epoch
        self.history: list[Epoch] = []

    @property
    def finished(self) -> bool:
        """Return whether every epoch is done."""
        return len(self.history) == self.settings.epochs

    def next_epoch(self) -> None:
        """Train and test one more epoch, and add it to the history."""
        number = len(self.history) + 1
        log, histograms = self.train_epoch(number)
        require_finite(log["train_loss"], number)
        start = time.perf_counter()
        tested = self.evaluation()
        metrics = {**log, **tested, "evaluation_seconds": time.perf_counter() - start}
        self.history.append(Epoch(number, self.settings.epochs, metrics, self.words, histograms))

    def train_epoch(self, epoch: int) -> tuple[dict[str, float], dict[str, tuple[float, ...]]]:
        """Make one pass over the training set; return the means of its loss and log, its seconds, and histograms."""
        own = f"network {rows.rank()}" if rows.rank() else "network"  # each process draws for other rows
        torch.manual_seed(derive_seed(self.seed, own, epoch))  # drop-path and dropout
        order = generator(self.seed, "data", epoch)
        augment = generator(self.seed, "augment", epoch, self.device)
        self.mixer_rng.manual_seed(derive_seed(self.seed, "mixer", epoch))
        for total in self.sums.values():
            total.zero_()
        seen = 0  # less than the training set where images that cannot be decoded are skipped
        start = time.perf_counter()
        self.method.train()
        batches = self.train_set.train_batches(self.settings.batch_size, order, augment)
        # A step is a batch, however few images it has: one in the middle may lack some that cannot be decoded.
        for number, (images, labels) in enumerate(itertools.islice(batches, self.steps)):
            set_lr(self.optimiser, self.settings, epoch - 1 + number / self.steps)
            if self.graphed is None:
                self.update(images, labels)
            else:
                self.graphed(self.update, images, labels)
            self.method.after_step((epoch - 1 + (number + 1) / self.steps) / self.settings.epochs)
            seen += len(images)
        logged = {name: total / seen for name, total in self.sums.items()}
        means = {name: float(mean) for name, mean in logged.items() if not mean.ndim}
        histograms = {name: tuple(mean.tolist()) for name, mean in logged.items() if mean.ndim}
        return {**means, "train_seconds": time.perf_counter() - start}, histograms

    def update(self, images: Tensor, labels: Tensor) -> None:
        """Take a step of the optimiser on a batch, and add its loss and log to ``sums``."""
        self.optimiser.zero_grad()
        # Batch norm sees a part at a time, and so does the mixer: "ghost batch norm" (arXiv:1705.08741).
        parts = list(zip(images.split(self.settings.part_size), labels.split(self.settings.part_size), strict=True))
        for part in parts:
            with rows.gradients_kept(self.trained, last=part is parts[-1]):
                loss, log = self.passes(part, self.mixer_rng, len(part[0]) / len(images))
            if "train_loss" in log:
                raise ValueError("a method must not log 'train_loss', which is the name of its loss")
            entries = {"train_loss": loss, **log}
            if self.sums and entries.keys() != self.sums.keys():
                names = " and ".join(repr(sorted(each)) for each in (self.sums, entries))
                raise ValueError(f"a method must log the same names for every batch, got {names}")
            for name, value in entries.items():
                # Summed on the device, in float64: reading a number each step would stall a GPU.
                total = torch.as_tensor(value, dtype=torch.float64).detach().mean(dim=0) * len(part[0])
                if name in self.sums:
                    self.sums[name] += total  # in place, where a CUDA graph finds it
                else:
                    self.sums[name] = total
        if self.settings.grad_clip is not None:
            self.scaler.unscale_(self.optimiser)
            torch.nn.utils.clip_grad_norm_(self.method.parameters(), self.settings.grad_clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()

    def passes(self, part: tuple[Tensor, Tensor], mixer: Generator, share: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Send a part of a batch through the network and back; return its loss, weighted by ``share``, and the log."""
        with self.autocast():
            loss, log = self.trained(*part, mixer)
        self.scaler.scale(loss * share).backward()
        return loss, log

    @property
    def steps(self) -> int:
        """Return the number of batches in an epoch; there are fewer where images cannot be decoded."""
        whole, rest = divmod(len(self.train_set), self.settings.batch_size)
        return whole + (rest > 0 and not self.settings.drop_last)

    def evaluation(self) -> dict[str, float]:
        """Return ``val_*`` of the validation split and ``test_*`` of the test set, as far as the run may see them."""
        last = len(self.history) + 1 >= self.settings.epochs
        with contextlib.ExitStack() as stack:
            if self.settings.recalibrate:
                for network in (self.method.evaluated, *self.method.also_tested.values()):
                    with self.autocast():
                        stack.enter_context(recalibrated(network, self.unmixed_batches(), keep=last))
            return self.test_metrics(last=last)

    def unmixed_batches(self) -> Iterator[Tensor]:
        """Yield the training images as the method receives them, in an order and with an augmentation of their own."""
        epoch, size = len(self.history) + 1, self.settings.part_size
        order = generator(self.seed, "recalibration data", epoch)
        augment = generator(self.seed, "recalibration augment", epoch, self.device)
        batches = self.train_set.train_batches(size, order, augment)
        for images, _ in itertools.islice(batches, len(self.train_set) // size if self.settings.drop_last else None):
            yield images

    def test_metrics(self, *, last: bool) -> dict[str, float]:
        """Return what ``evaluation`` returns, with the statistics that the networks have now."""
        metrics: dict[str, float] = {}
        if self.validation_set is not None:
            found = self.evaluate(self.validation_set)
            metrics.update(val_top1=found["top1"], val_loss=found["loss"])
        if self.test_set is not None:
            self.tested = []
            found = self.evaluate(self.test_set, tested=self.tested if last else None)
            metrics.update(test_top1=found["top1"], test_top5=found["top5"])
            # The same as errors, which some papers print.
            metrics.update(test_top1_error=100 - found["top1"], test_top5_error=100 - found["top5"])
            for name, evaluate in self.evaluate_also.items():
                metrics[f"test_top1_{name}"] = evaluate(self.test_set)["top1"]
        return metrics

    def epoch(self) -> Epoch:
        """Return the last finished epoch; the run's last also says how much time and memory the whole run took."""
        latest = self.history[-1]
        if not self.finished:
            return latest
        peak = memory.peak_mib(self.device)
        if self.device.type != "cuda":
            sources = (self.train_set, self.validation_set, self.test_set)
            peak = max(0.0, peak - self.held_mib) + max(source.workers_mib for source in sources if source is not None)
        seconds = math.fsum(epoch.metrics["train_seconds"] for epoch in self.history)
        whole = {
            "train_seconds_total": seconds,
            "step_seconds": seconds / (len(self.history) * self.steps),
            "params": sum(parameter.numel() for parameter in self.method.evaluated.backbone.parameters()),
            "peak_memory_mib": peak,
        }
        if self.settings.compile:
            shape = (self.settings.part_size, *dataset_of(self.settings).image_shape)
            part = torch.rand(shape, device=self.device), torch.zeros(shape[0], dtype=torch.long, device=self.device)
            mixer = generator(self.seed, "compile_speedup", 0, self.device)
            whole["compile_speedup"] = compile_speedup(self.method, lambda: self.passes(part, mixer, 1.0))
        if self.graphed is not None and self.graphed.graph is not None:
            whole["graph_speedup"] = self.graphed.speedup
        return latest._replace(metrics={**latest.metrics, **whole})

    def save(self, folder: Path) -> None:
        """Write ``training.pt``, and after the last epoch ``model.pt``, the backbone's state_dict, into ``folder``.

        After the last epoch, also write the method's other modules, such as AutoMix's ``model_mix_block.pt``, and
        ``predictions.npz``: ``logits`` (N, L) float16 of the test set and its ``labels`` (N,) int64.
        """
        state = {
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "history": [tuple(epoch) for epoch in self.history],
        }
        torch.save(state, folder / "training.pt")
        if self.finished:
            torch.save(model_state(self.method.evaluated.backbone), folder / "model.pt")
            for name, module in self.method.also_saved.items():
                torch.save(model_state(module), folder / f"model_{name}.pt")
            if self.tested:
                logits, labels = (torch.cat(parts).numpy(force=True) for parts in zip(*self.tested, strict=True))
                np.savez_compressed(folder / "predictions.npz", logits=rounded(logits), labels=labels)

    def restore(self, folder: Path) -> None:
        """Go back to the state that ``save`` wrote."""
        state = torch.load(folder / "training.pt", map_location=self.device, weights_only=True)
        self.method.load_state_dict(state["method"])
        if group_sizes(state["optimiser"]) != group_sizes(self.optimiser.state_dict()):
            # A run that began when the embeddings of timm's models decayed ends so.
            self.optimiser = build_optimiser(self.settings, self.settings.lr, self.method, exempt=False)
        load_optimiser(self.optimiser, state["optimiser"])
        if state["scaler"]:  # there is none of a run that began on hardware where its precision was not float16
            self.scaler.load_state_dict(state["scaler"])
        self.history = [Epoch(*epoch) for epoch in state["history"]]


def model_state(module: nn.Module) -> dict[str, Tensor]:
    """Return a state_dict on the CPU, in the plain memory format, which is readable anywhere."""
    return {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
