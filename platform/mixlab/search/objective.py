"""The objective of a search: a metric of a trainable, as the mean over several seeds."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixlab.spec import json_form
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.epoch import epoch_of, save_of
from mixlab.spec.trainable import Report, Save

PAST = "earlier_seeds.json"


@dataclass
class OverSeeds:
    """Wraps a trainable: it trains with each seed in turn, and reports the mean of a metric so far.

    Its epochs are numbered through all seeds. Each seed has as many numbers as the longest so far has announced epochs;
    the end of a seed that ends early has its last number. After each epoch the metric is the mean over the seeds that
    are done, at their last epoch, and the one that runs, at its latest: configurations are compared at equal progress.
    """

    train: CompleteTrainable
    metric: str
    seeds: Sequence[int]

    def __call__(
        self, settings: Any, seed: int, report: Report, resume_from: Path | None, data_root: Path, processes: int = 1
    ) -> None:
        """Train with every seed, up to one that returns before its last epoch; ``seed`` is not used."""
        past = _past(resume_from)
        if past.over:  # the checkpoint is of a seed's last epoch
            resume_from = None
        for each in self.seeds[len(past.values) :]:
            mean = _Mean(self.metric, len(self.seeds), report, past)
            self.train(settings, each, mean, resume_from, data_root, processes)
            past, resume_from = mean.after, None
            if not past.over:
                return


@dataclass(frozen=True)
class _Past:
    """The progress of a trial after an epoch."""

    values: Sequence[float] = ()  # the metric of each seed that is done
    over: bool = False  # whether the epoch was the last of its seed, which ``values`` then includes
    planned: int = 0  # the most epochs that a seed has announced


def _past(folder: Path | None) -> _Past:
    if folder is None or not (folder / PAST).exists():
        return _Past()
    found = json.loads((folder / PAST).read_bytes())
    if isinstance(found, list):  # older checkpoints: the values, an epoch's number, and whether it was the last
        found = {"values": found[0], "over": found[2]}
    return _Past(**{**found, "values": tuple(map(float, found["values"]))})


@dataclass
class _Mean:
    """Turns the reports of one seed into those of the mean over the seeds so far."""

    metric: str
    seeds: int
    report: Report
    past: _Past

    def __post_init__(self) -> None:
        self.after = replace(self.past, over=False)  # the progress after the latest report

    def __call__(self, reported: Any, save: Save | None = None) -> None:
        epoch = epoch_of(reported)
        save_seed = save_of(save)
        values = (*self.past.values, epoch.metrics.get(self.metric, float("nan")))
        metrics = dict(epoch.metrics)
        if self.metric in metrics:
            metrics[self.metric] = statistics.fmean(values)
        planned, done = max(self.after.planned, epoch.of), len(self.past.values)
        number = done * planned + (planned if epoch.last else epoch.number)
        self.after = _Past(values if epoch.last else self.past.values, epoch.last, planned)
        text = json_form.dumps(vars(self.after))

        def save_all(folder: Path) -> None:
            save_seed(folder)
            (folder / PAST).write_text(text, encoding="utf-8")

        self.report(replace(epoch, number=number, of=planned * self.seeds, metrics=metrics), save_all)
