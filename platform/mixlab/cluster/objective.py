"""What a search optimises: a metric of a trainable, over several seeds, with failures as part of the answer."""

import json
import statistics
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixlab.cluster.packing import ran_out
from mixlab.spec.study import Trainable

PAST = "earlier_seeds.json"

Metrics = Mapping[str, Any]
Save = Callable[[Path], None]
Report = Callable[[dict[str, Any], Save], None]


class Objective:
    """A trainable made of another: trains with every seed in turn, and reports the mean of a metric so far.

    Its epochs count through all seeds. After each, the metric is the mean of the seeds that are done, at their last
    epoch, and of the one that runs, at its latest: at the same epoch, two configurations are compared alike.

    An exception of the trainable is reported, as ``error``, and ends the trial: the same seed would raise it again, so
    the trial is not retried as after a crash of its process. A GPU without memory left is no such exception.
    """

    def __init__(self, train: Trainable, metric: str, seeds: Sequence[int]) -> None:
        self.train = train
        self.metric = metric
        self.seeds = tuple(seeds)

    def __call__(self, config: Metrics, seed: int, report: Report, resume_from: Path | None = None) -> None:
        """See ``Trainable``; ``seed`` is not used, for the seeds are known."""
        mean = _RunningMean(self.metric, len(self.seeds), report, resume_from)
        try:
            for each in self.seeds[len(mean.past) :]:
                last = self.train(config, each, mean, resume_from)
                mean.next_seed(last)
                resume_from = None
        except Exception:
            if ran_out(traceback.format_exc()):
                raise
            error = {"epoch": mean.epoch + 1, "epochs": mean.epoch + 1, "error": traceback.format_exc()}
            report(error, lambda folder: None)


class _RunningMean:
    """Turns the reports of one seed after another into those of their mean."""

    def __init__(self, metric: str, seeds: int, report: Report, resume_from: Path | None) -> None:
        self.metric = metric
        self.seeds = seeds
        self.report = report
        self.past: list[float] = []  # the metric of each seed that is done
        self.offset = 0  # epochs of those
        if resume_from is not None and (resume_from / PAST).exists():
            self.past, self.offset = json.loads((resume_from / PAST).read_text())
        self.epoch = self.offset
        self.latest: Metrics | None = None  # of the seed that runs

    def __call__(self, metrics: Metrics, save: Save) -> None:
        self.latest = metrics
        self.epoch = self.offset + metrics["epoch"]
        through = {"epoch": self.epoch, "epochs": metrics["epochs"] * self.seeds}
        if self.metric in metrics:
            through[self.metric] = statistics.fmean([*self.past, metrics[self.metric]])
        past = json.dumps([self.past, self.offset])

        def save_all(folder: Path) -> None:
            save(folder)
            (folder / PAST).write_text(past)

        self.report({**metrics, **through}, save_all)

    def next_seed(self, last: Metrics | None) -> None:
        """A seed is done; ``last`` are its last metrics, for one that had no epoch left to report."""
        metrics = self.latest or last or {}
        self.past.append(metrics.get(self.metric, float("nan")))
        self.offset = self.epoch = self.offset + metrics.get("epoch", 0)
        self.latest = None
