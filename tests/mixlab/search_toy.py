"""A search that needs neither Ray nor files: the real history and source, driven by a loop."""

import itertools
import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna

from mixlab import Arm, Epoch, Float, Metric, Search, Study
from mixlab.launching.proposed import ProposedTrials
from mixlab.search.history import History
from mixlab.search.race import Race
from mixlab.search.trial_store import TrialStore
from mixlab.spec.complete import complete
from mixlab.spec.search import SearchTrial
from tests.mixlab.spec import minimal

SPACE = {"zeta": Float(0.05, 2, log=True), "alpha": Float(0.1, 4, log=True)}
BEST = {"zeta": 0.4, "alpha": 1.0}


class Toy(minimal.Toy):
    """A trainable with one metric to optimise."""

    metrics = (Metric("val_top1", "%", higher_is_better=True),)

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {"epochs": 27, **config}


TRAIN = complete(Toy())


def distance(config: Mapping[str, Any]) -> float:
    """Return the distance from the optimum: 0 there, and at most about 1 per key, on the space's log scale."""
    return math.hypot(
        math.log(config["zeta"] / BEST["zeta"]) / math.log(40), math.log(config["alpha"] / BEST["alpha"]) / math.log(40)
    )


def accuracy(config: Mapping[str, Any], epoch: int) -> float:
    """Return the accuracy in percent: it rises with the epochs, to 80 at the optimum."""
    return 80 - 60 * distance(config) ** 2 - 20 / epoch


class InMemory(TrialStore):
    """A store without a file, for one driver."""

    def __init__(self) -> None:
        self.storage = optuna.storages.InMemoryStorage()
        self.url = "memory"

    def alone(self, work: Callable[[], Any]) -> Any:
        return work()


NO_CHECKPOINTS: Any = SimpleNamespace(newest=lambda only="": {})


def search(**changes: Any) -> Search:
    arms = (Arm("low", {"arm": "low"}), Arm("high", {"arm": "high"}))
    of_study = {key: changes.pop(key) for key in ("name", "seeds", "base", "arms") if key in changes}
    study = Study(**{"name": "toy", "base": {}, "arms": arms, **of_study})
    found = Search(**{"study": study, "space": SPACE, "budget": 40, "tuning": {}, **changes})
    return found.completed(TRAIN)


def store_of(kind: str, folder: Path) -> TrialStore:
    """Return a store in a journal or SQLite file in ``folder``; any other ``kind`` is the URL of a server."""
    urls = {"journal": str(folder / "optuna.journal"), "sqlite": f"sqlite:///{folder}/optuna.db"}
    return TrialStore(urls.get(kind, kind), "toy")


def run(history: History, value: Callable[[Mapping[str, Any], int], float] = accuracy, at_a_time: int = 4) -> int:
    """Do what Ray Tune does, on a clock of epochs, ``at_a_time`` trials together; returns the epochs that were run."""
    source = proposed(history)
    running: dict[str, tuple[SearchTrial, int]] = {}
    total = 0
    while True:
        while len(running) < at_a_time and (job := source.next(at_a_time)):
            running[job.trial.key] = (job.trial, 0)
        if not running:
            return total
        for key, (trial, epoch) in list(running.items()):
            epoch, total = epoch + 1, total + 1
            epochs = trial.config["epochs"]
            metrics = {history.search.objective: value(trial.config, epoch)}
            end = source.reported(trial, Epoch(epoch, epochs, metrics))
            running[key] = (trial, epoch)
            if end is not None:
                del running[key]
                source.ended(trial, end)


def go_on(history: History, race: Race, result: Callable[[Mapping[str, Any], int, int], float], reports: int) -> int:
    """Run a race with one trial at a time, seed after seed, until some reports were made, as if the driver was killed.

    A trial that is taken up again repeats its reports up to the last, as a schedule does from the journal. ``result``
    gives the objective of a configuration with a seed after an epoch. The number of new reports is returned, which is
    less than ``reports`` if the search is over.
    """
    source = ProposedTrials(history, NO_CHECKPOINTS, "paper", race)
    count = 0
    while job := source.next(1):
        trial = job.trial
        known, epochs = set(history.of(trial).intermediate_values), trial.config["epochs"]
        done: list[float] = []
        for seed, epoch in itertools.product(trial.seeds, range(1, epochs + 1)):
            number = len(done) * epochs + epoch
            if number not in known and count == reports:
                source.release()
                return count
            count += number not in known
            value = result(trial.config, seed, epoch)
            metrics = {history.search.objective: statistics.fmean([*done, value])}
            done += [value] if epoch == epochs else []
            end = source.reported(trial, Epoch(number, epochs * len(trial.seeds), metrics))
            if end is not None:
                source.ended(trial, end)
                break
    assert history.finished()
    return count


def proposed(history: History) -> ProposedTrials:
    return ProposedTrials(history, NO_CHECKPOINTS, "paper")


def states(history: History, arm: str) -> list[str]:
    return [trial.state.name for trial in history.trials(arm)]
