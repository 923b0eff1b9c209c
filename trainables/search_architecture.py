"""Searches an architecture by PC-DARTS and trains it, as one trial of a study.

last = train({"dataset": "cifar10", "search_channels": 8, "search_cells": 4, ...}, seed=0)

torch takes seconds to import, and is imported with the first run: ``--help`` does not wait for it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.classify import Report, Resolved
from trainables.darts.search_config import NEUTRAL, SearchConfig, flatten, parse
from trainables.epoch import Diverged, Epoch
from trainables.metric import RULES, Metric

METRICS = (
    Metric("test_top1_error", "%", 2, False, RULES, "top-1 error of the network that was found"),
    Metric("test_top1", "%", 2, True, RULES, "top-1 accuracy of the network that was found"),
    Metric("test_top5_error", "%", 2, False, RULES, "top-5 error of the network that was found"),
    Metric("search_top1", "%", 2, True, (), "accuracy of the search's network on the half that chooses"),
    Metric("train_loss", "nats", 4, False, (), "training loss"),
    Metric("train_seconds", "s", 1, None, (), "time of an epoch"),
    # Reported after the last epoch.
    Metric("search_seconds", "s", 0, None, (), "time of the search"),
    Metric("train_seconds_total", "s", 0, None, (), "time of the training after it"),
    Metric("params", "", 0, None, (), "parameters of the network"),
    Metric("mflops", "M", 1, None, (), "operations for one image"),
)
# A run of a few epochs does without the regularisation that 600 need.
_SMALL = {
    "dataset": "cifar10",
    "frozen_epochs": 1,
    "search_channels": 8,
    "search_cells": 4,
    "search_batch_size": 64,
    "channels": 8,
    "cells": 4,
    "batch_size": 32,
    "lr": 0.1,
    "auxiliary": 0.0,
    "cutout": 0,
    "drop_path": 0.0,
    **{key: value for key, value in NEUTRAL.items() if key.startswith("retrain.")},
}
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "quick": {  # minutes a run
        **_SMALL,
        "train_images": 4000,
        "test_images": 2000,
        "architecture_lr": 6e-3,
        "search_epochs": 4,
        "epochs": 4,
    },
    "smoke": {  # enough to show that a study runs
        **_SMALL,
        "train_images": 256,
        "test_images": 200,
        "seeds": 1,
        "search_epochs": 2,
        "epochs": 1,
    },
}


class ArchitectureSearch:
    """The trainable of studies of architecture search, with the answers to a platform's questions before it starts."""

    metrics = METRICS
    presets = PRESETS
    neutral = NEUTRAL  # options added later, at the value that leaves every number as it was
    files = ("subset.scores", "genotype_file")  # keys whose values are paths of files
    prepared = (  # keys that ``prepare`` depends on
        "dataset", "folder", "num_classes", "train_images", "test_images", "bad_images", "subset.rule", "subset.scores",
        "genotype", "genotype_file",
        "retrain.dataset", "retrain.folder", "retrain.num_classes", "retrain.train_images", "retrain.test_images",
    )  # fmt: skip
    final = (ValueError, Diverged)  # the same configuration and seed would raise them again

    def __call__(
        self,
        settings: SearchConfig | Mapping[str, Any],
        seed: int,
        report: Report = lambda epoch, save: None,
        *,
        resume_from: Path | None = None,
        data_root: Path = Path("data"),
    ) -> Epoch:
        """Search, then train and test the found network; return the last epoch. A known genotype is trained at once.

        The settings are as ``resolve`` returns them, or the keys of ``trainables.darts.search_config``. The epochs of
        the search are reported first, and ``genotype.json`` is saved from the last of them on. Every other argument is
        that of ``Classification``, and so is what is raised.
        """
        from trainables.darts.search_run import SearchRun
        from trainables.datasets.opening import images_of
        from trainables.device.hardware import device

        settings = settings if isinstance(settings, SearchConfig) else parse(settings)
        retrained = images_of(settings.retrained, data_root)
        searched = images_of(settings, data_root) if settings.known_genotype is None else None
        run = SearchRun(settings, seed, searched, retrained, device())
        if resume_from is not None:
            run.restore(Path(resume_from))
        while not run.finished:
            run.next_epoch()
            report(run.history[-1], run.save)
        return run.history[-1]

    def resolve(self, config: Mapping[str, Any]) -> Resolved:
        """Return the whole configuration; raise ``ValueError``, one sentence, for one that cannot be run."""
        settings = parse(config)
        return Resolved(flatten(settings), settings)

    def prepare(self, settings: SearchConfig, data_root: Path) -> None:
        """Verify the data sets under ``data_root``; raise ``DataError`` where one cannot be fetched."""
        from trainables.datasets.opening import prepare

        prepare(settings.retrained, data_root)
        if settings.known_genotype is None:
            prepare(settings, data_root)

    def lacking(self, settings: SearchConfig, data_root: Path) -> list[str]:
        """Return a sentence for each folder of images that is missing; fetch nothing."""
        from trainables.datasets.opening import lacking

        searched = lacking(settings, data_root) if settings.known_genotype is None else []
        return list(dict.fromkeys([*searched, *lacking(settings.retrained, data_root)]))

    def estimate_seconds(self, settings: SearchConfig, data_root: Path) -> float:
        """Return roughly how long a run takes on this machine, from a few timed steps on noise."""
        from trainables.darts import search_cost

        return search_cost.seconds(settings, data_root)


train = ArchitectureSearch()
