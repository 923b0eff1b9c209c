"""The objective of a search: a metric of a trainable, as the mean over several seeds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixlab.spec import json_form
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.epoch import Epoch, epoch_of, save_of
from mixlab.spec.trainable import Report, Save

PAST = "earlier_seeds.json"


@dataclass
class OverSeeds:
    """A trainable made of another: it trains with each seed in turn, and reports the mean of a metric so far.

    Its epochs count through all seeds. After each, the metric is the mean over the seeds that are done, at their last
    epoch, and the one that runs, at its latest: at the same epoch, two configurations are compared alike.
    """

    train: CompleteTrainable
    metric: str
    seeds: Sequence[int]

    def __call__(
        self, settings: Any, seed: int, report: Report, resume_from: Path | None, data_root: Path, processes: int = 1
    ) -> None:
        """Train with every seed; ``seed`` is not used."""
        mean = _RunningMean(self.metric, len(self.seeds), report, _past(resume_from))
        if mean.past.over:  # the checkpoint is of a seed's last epoch
            resume_from = None
        for each in self.seeds[len(mean.past.values) :]:
            self.train(settings, each, mean, resume_from, data_root, processes)
            mean.next_seed()
            resume_from = None


@dataclass(frozen=True)
class _Past:
    """The progress of a trial after an epoch."""

    values: tuple[float, ...] = ()  # the metric of each seed that is done
    epochs: int = 0  # the epochs of those
    over: bool = False  # whether the epoch was the last of its seed, which ``values`` then includes


def _past(folder: Path | None) -> _Past:
    if folder is None or not (folder / PAST).exists():
        return _Past()
    values, epochs, over = json_form.loads((folder / PAST).read_bytes(), object)
    return _Past(tuple(values), epochs, over)


@dataclass
class _RunningMean:
    """Turns the reports of one seed after another into those of their mean."""

    metric: str
    seeds: int
    report: Report
    past: _Past
    latest: Epoch | None = None  # of the seed that runs

    def __call__(self, reported: Any, save: Save | None = None) -> None:
        epoch = self.latest = epoch_of(reported)
        save_seed = save_of(save)
        metrics = dict(epoch.metrics)
        if self.metric in metrics:
            metrics[self.metric] = statistics.fmean([*self.past.values, metrics[self.metric]])
        here = self._after_seed() if epoch.last else self.past
        text = json_form.dumps([here.values, here.epochs, here.over])

        def save_all(folder: Path) -> None:
            save_seed(folder)
            (folder / PAST).write_text(text, encoding="utf-8")

        number = self.past.epochs + epoch.number
        of = self.past.epochs + epoch.of * (self.seeds - len(self.past.values))  # one may end earlier than another
        self.report(replace(epoch, number=number, of=of, metrics=metrics), save_all)

    def next_seed(self) -> None:
        """Move on to the next seed, because one is done."""
        self.past, self.latest = self._after_seed(), None

    def _after_seed(self) -> _Past:
        if self.latest is None:
            return self.past
        value = self.latest.metrics.get(self.metric, float("nan"))
        return _Past((*self.past.values, value), self.past.epochs + self.latest.number, True)
