"""TensorBoard: event files in the folder ``tensorboard`` of the study's results, one for each trial."""

import importlib
from pathlib import Path
from typing import Any

from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial

FLUSH_SECONDS = 2.0  # until a number is in its file; ``flush`` leaves out those that the writer's thread has not taken


class TensorBoard:
    """A mirror that writes scalars by epoch: ``tensorboard --logdir results/STUDY/tensorboard`` shows them."""

    package = "tensorboardX"

    def __init__(self, study: str, folder: Path) -> None:
        self.folder = folder / "tensorboard"
        self.open: Any = importlib.import_module(self.package).SummaryWriter
        self.writers: dict[str, Any] = {}  # by the trial's key

    def start(self, trial: Trial) -> None:
        if trial.key not in self.writers:
            place = self.folder / _folder_of(trial.cell) / f"seed {trial.seed}"
            self.writers[trial.key] = self.open(str(place), flush_secs=FLUSH_SECONDS)

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        for name, value in epoch.metrics.items():
            self.writers[trial.key].add_scalar(name, value, epoch.number)

    def end(self, trial: Trial, state: State) -> None:
        if trial.key in self.writers:
            self.writers.pop(trial.key).close()


def _folder_of(cell: str) -> str:
    """Return a name of a folder that no other cell has, below the one in which it is: ``a/b`` is ``a%2Fb``."""
    name = cell.replace("%", "%25").replace("/", "%2F")
    return name.replace(".", "%2E") if name in (".", "..") else name
