"""Trains an image classifier, one epoch after another, and answers a platform's questions before it starts.

last = train({"dataset": "cifar10", "backbone": "resnet8", "epochs": 2}, seed=0)

torch takes seconds to import, so it is imported only after ``parse`` has accepted a configuration: ``--help`` is fast.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trainables.config import NEUTRAL, Config, flatten, parse
from trainables.datasets.data_config import DataConfig, check_read
from trainables.epoch import Diverged, Epoch
from trainables.metric import METRICS
from trainables.moved import version
from trainables.recipes.presets import PRESETS


class Resolved(NamedTuple):
    """A configuration in its two forms."""

    flat: dict[str, Any]  # every key that determines a run's numbers, with defaults
    settings: DataConfig  # the typed form: that of the trainable


# It receives each finished epoch, and a function that writes a checkpoint into a folder.
Report = Callable[[Epoch, Callable[[Path], None]], None]


class Classification:
    """The trainable of every classification study, with the answers to a platform's questions before it starts."""

    metrics = METRICS
    presets = PRESETS
    neutral = NEUTRAL  # options added later, at the value that leaves every number as it was
    final = (ValueError, Diverged)  # the same configuration and seed would raise them again
    numbers = staticmethod(version)
    # Keys whose values are paths of files.
    files = ("mixer.teacher", "mixer.extractor", "mixer.codec_file", "subset.scores")
    prepared = (  # keys that ``prepare`` depends on
        "dataset", "folder", "num_classes", "train_images", "test_images", "validation", "evaluate", "bad_images",
        "subset.rule", "subset.share", "subset.scores", "backbone", "pretrained", "compile",
    )  # fmt: skip
    timed = (  # keys that decide how long a run takes
        "dataset", "folder", "image_size", "test_size", "train_images", "subset.share", "test_images", "validation",
        "evaluate", "epochs", "backbone", "batch_size", "accumulate", "precision", "compile", "cuda_graph",
        "recalibrate", "mixer", "mixer.pipeline", "mixer.num_images", "automix.preset",
        "sumix.preset", "sumix.lam", "sumix.regulariser", "sumix.raw_forward",
    )  # fmt: skip
    parallel = True  # several processes may train one run together
    held_out: Mapping[str, Any] = {"validation": 0.1, "evaluate": "validation"}  # options of every run of a search

    def __call__(
        self,
        settings: Config | Mapping[str, Any],
        seed: int,
        report: Report = lambda epoch, save: None,
        *,
        resume_from: Path | None = None,
        data_root: Path = Path("data"),
        workers: int | None = None,
        processes: int = 1,
    ) -> Epoch:
        """Train and test one network; return the last epoch.

        Args:
            settings: the run's settings as ``resolve`` returns them, or the dotted keys of ``trainables.config``.
            seed: decides everything random.
            report: called after each epoch. Its metrics are those of ``trainables.metric``: always ``train_loss``,
                ``train_seconds`` and ``evaluation_seconds``; ``test_top1`` and ``test_top5``, unless ``evaluate``
                leaves the test set unread; ``val_top1`` and ``val_loss`` with a validation split; after the last epoch
                also ``train_seconds_total``, ``step_seconds``, ``params`` and ``peak_memory_mib``.
            resume_from: a folder that ``save`` wrote to; training goes on after its last epoch.
            data_root: the folder of the data sets.
            workers: the number of processes that decode streamed images; ``None`` takes as many as torch has threads.
            processes: the number of processes that train the network together, each on a GPU of its own where there
                is one; the numbers are those of one process up to rounding (``trainables.parallel.rows``).

        Raises:
            ValueError: the configuration is wrong.
            DataError: the data set is missing or broken.
            Diverged: the loss is not finite.
            LostProcess: one of several processes has failed or was killed.
        """
        from trainables.parallel.processes import accompanied

        if not isinstance(settings, Config):
            settings = parse(settings)
            check_read(settings)
        _require_processes(settings, processes)
        run = settings, seed, resume_from, data_root, workers
        with accompanied(processes, train_epochs, *run):
            return train_epochs(*run, report)

    def resolve(self, config: Mapping[str, Any]) -> Resolved:
        """Return the whole configuration; raise ``ValueError``, one sentence, for one that cannot be run."""
        settings = parse(config)
        return Resolved(flatten(settings), settings)

    def check(self, settings: Config, processes: int = 1) -> None:
        """Raise ``ValueError``, one sentence, for keys that are right one by one, but not together."""
        check_read(settings)
        _require_processes(settings, processes)
        from trainables import rehearsal
        from trainables.device import cuda_graph  # they import torch; faults of one key are found before

        rehearsal.check(settings)
        if settings.cuda_graph is True:
            cuda_graph.check(settings)

    def check_metric(self, settings: Config, metric: str) -> None:
        """Raise ``ValueError``, one sentence, for a metric of images that a run with these settings does not test."""
        if metric.startswith("test_") and settings.evaluate == "validation":
            wanted = "give the study a metric such as 'val_top1_median10'"
            raise ValueError(f"evaluate 'validation' does not read the test set: {wanted}, got {metric!r}")
        if metric.startswith("val_") and not settings.validation:
            raise ValueError(f"the metric {metric!r} needs the key validation, a share or a number of training images")

    def prepare(self, settings: Config, data_root: Path) -> None:
        """Verify the data set and weights under ``data_root``, and that there is a compiler for what is compiled.

        Raises:
            DataError: the data set or the weights cannot be fetched.
            ValueError: there is no compiler.
        """
        from trainables.backbones.pretrained import prepare_pretrained
        from trainables.datasets.opening import prepare
        from trainables.device.compilation import require_compiler

        if settings.compile:
            require_compiler()
        prepare(settings, data_root)
        if settings.pretrained != "none":
            prepare_pretrained(settings.backbone, settings.pretrained, data_root)

    def lacking(self, settings: Config, data_root: Path) -> list[str]:
        """Return a sentence for each folder of images or file of weights that is missing; fetch nothing."""
        from trainables.backbones.pretrained import lacking_weights
        from trainables.datasets.opening import lacking

        return [*lacking(settings, data_root), *lacking_weights(settings.backbone, settings.pretrained, data_root)]

    def objectives(self, config: Mapping[str, Any]) -> list[str]:
        """Return the metrics of every epoch that a search may optimise; those of the test set are not among them."""
        return ["train_loss", *(("val_top1", "val_loss") if parse(config).validation else ())]

    def estimate_seconds(self, settings: Config, data_root: Path) -> float:
        """Return roughly how long a run takes on this machine, from a few timed steps on noise."""
        from trainables import cost

        return cost.seconds(settings, data_root)

    def gpu_memory(self, settings: Config, data_root: Path) -> tuple[float, float]:
        """Return the MiB that a run needs on this machine's GPU, from a few steps on its own images, and the MiB free.

        Raises:
            ValueError: no GPU can be used, or the run does not fit it.
            DataError: the data set is missing or broken.
        """
        from trainables import cost

        self.prepare(settings, data_root)
        return cost.gpu_memory(settings, data_root)


def _require_processes(settings: Config, processes: int) -> None:
    """Raise ``ValueError`` if this number of processes cannot train a run together."""
    for key in ("compile", "cuda_graph"):
        if getattr(settings, key) is True and processes > 1:
            raise ValueError(f"{key} must be False where several processes train one run, got {processes} of them")


def train_epochs(
    settings: Config,
    seed: int,
    resume_from: Path | None,
    data_root: Path,
    workers: int | None,
    report: Report = lambda epoch, save: None,
) -> Epoch:
    """Train a network in one process, or in one of several; see ``Classification.__call__``."""
    from trainables.backbones.pretrained import load_pretrained
    from trainables.datasets.opening import open_dataset
    from trainables.device.hardware import device
    from trainables.training import Run

    data = open_dataset(settings, data_root, device(), workers=workers)
    run = Run(settings, seed, data, load_pretrained(settings.backbone, settings.pretrained, data_root))
    if resume_from is not None:
        run.restore(Path(resume_from))
    last: Epoch | None = None
    while not run.finished:
        run.next_epoch()
        last = run.epoch()
        report(last, run.save)
    return last or run.epoch()  # a run that was resumed may be finished


train = Classification()
