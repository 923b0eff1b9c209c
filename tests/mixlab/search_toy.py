"""A search that needs neither Ray nor files: the real history, searcher and scheduler, driven by a loop."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna

from mixlab import Arm, Float, Search
from mixlab.search.history import History
from mixlab.search.searcher import HistorySearcher, Stopper
from mixlab.search.trial_store import TrialStore
from mixlab.spec.search import SearchTrial
from mixlab.storage.journal import Saved

SPACE = {"zeta": Float(0.05, 2, log=True), "alpha": Float(0.1, 4, log=True)}
BEST = {"zeta": 0.4, "alpha": 1.0}


def resolve(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"epochs": 27, **config}


def distance(config: Mapping[str, Any]) -> float:
    """From the optimum: 0 there, and at most about 1 per key, on the log scale of the space."""
    return math.hypot(
        math.log(config["zeta"] / BEST["zeta"]) / math.log(40), math.log(config["alpha"] / BEST["alpha"]) / math.log(40)
    )


def accuracy(config: Mapping[str, Any], epoch: int) -> float:
    """Percent: rises with the epochs, to 80 at the optimum."""
    return 80 - 60 * distance(config) ** 2 - 20 / epoch


class InMemory(TrialStore):
    """A store without a file, for one driver."""

    def __init__(self) -> None:
        self.storage = optuna.storages.InMemoryStorage()
        self.url = "memory"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        yield


class NoCheckpoints:
    def newest(self) -> dict[str, Saved]:
        return {}


class Nobody:
    def taken_over(self, trial: SearchTrial, saved: Saved | None) -> None:
        pass


def search(**changes: Any) -> Search:
    arms = (Arm("low", {"arm": "low"}), Arm("high", {"arm": "high"}))
    return Search(**{"name": "toy", "base": {}, "arms": arms, "space": SPACE, "budget": 40, "tuning": {}, **changes})


def store_of(kind: str, folder: Path) -> TrialStore:
    """A journal or SQLite file in ``folder``; of any other kind, the URL of a server."""
    urls = {"journal": str(folder / "optuna.journal"), "sqlite": f"sqlite:///{folder}/optuna.db"}
    return TrialStore(urls.get(kind, kind), "toy")


def run(history: History, value: Callable[[Mapping[str, Any], int], float] = accuracy, at_a_time: int = 4) -> int:
    """Do what Ray Tune does, on a clock of epochs, ``at_a_time`` trials together; returns the epochs that were run."""
    searcher = HistorySearcher(history, NoCheckpoints(), Nobody())  # type: ignore[arg-type]
    stopper = Stopper(searcher)
    running: dict[str, tuple[SearchTrial, int]] = {}
    total = began = 0
    while True:
        while len(running) < at_a_time:
            suggested = searcher.suggest(str(began))
            if not isinstance(suggested, dict):
                break
            running[str(began)] = (suggested["job"].trial, 0)
            began += 1
        if not running:
            return total
        for name, (trial, epoch) in list(running.items()):
            epoch, total = epoch + 1, total + 1
            epochs = trial.config["epochs"]
            metrics = {"epoch": epoch, "epochs": epochs, history.search.objective: value(trial.config, epoch)}
            flat = {f"metrics/{key}": number for key, number in metrics.items()}
            stop = stopper.on_trial_result(None, SimpleNamespace(trial_id=name), flat) == "STOP"
            running[name] = (trial, epoch)
            if stop or epoch == epochs:
                del running[name]
                searcher.on_trial_complete(name, flat)
