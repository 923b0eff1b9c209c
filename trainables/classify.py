"""Trains an image classifier, one epoch after another; and what a platform asks before it starts.

metrics = train({"dataset": "cifar10", "backbone": "resnet8", "epochs": 2}, seed=0)
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from trainables import cost, memory
from trainables.backbones.pretrained import load_pretrained, prepare_pretrained
from trainables.config import NEUTRAL, flatten, parse
from trainables.datasets.opening import dataset_of, open_dataset, prepare
from trainables.methods import METHODS, rehearse
from trainables.methods.inputs import asks_the_network
from trainables.recipes import PRESETS
from trainables.training import Metrics, Run, device

PLACE = ("data_root", "workers")  # keys that say where a run runs, and move none of its numbers


class Report(Protocol):
    """Takes the metrics of a finished epoch, and a function that writes a checkpoint into a folder."""

    def __call__(self, metrics: Metrics, save: Callable[[Path], None]) -> None:
        """Called by the loop after every epoch."""


class Classification:
    """The trainable of every classification study, and what a platform asks of it before it starts."""

    presets = PRESETS
    neutral = NEUTRAL

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
        if asks_the_network(settings.mixer) or settings.mixer in METHODS or settings.sumix.preset == "release":
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
        return cost.seconds(parse(config))

    def gpu_memory(self, config: Mapping[str, Any]) -> tuple[float, float]:
        """MiB that a run needs on this machine's GPU, from a few steps on its own images, and MiB that are free there.

        Args:
            config: as in a call, with ``data_root``.

        Raises:
            ValueError: no GPU can be used, or the run does not fit it.
            DataError: the data set is missing or broken.
        """
        settings = parse({key: value for key, value in config.items() if key not in PLACE})
        data_root = Path(config.get("data_root", "data"))
        self.prepare(flatten(settings), data_root)
        return cost.gpu_memory(settings, data_root)


train = Classification()
