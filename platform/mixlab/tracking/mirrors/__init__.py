"""Other trackers that show what MLflow records. A mirror is a file, and its line here.

MLflow stays the one record: nothing is read back from a mirror, and one that fails is dropped.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial
from mixlab.tracking.mirrors.run_api import Trackio, WeightsAndBiases
from mixlab.tracking.mirrors.tensorboard import TensorBoard


class Mirror(Protocol):
    """Shows the trials of a study somewhere else; whatever it raises is said once, and drops it.

    A trial that is retried, or that another start goes on with, is started again.
    """

    def start(self, trial: Trial) -> None:
        """Note that a trial begins, or goes on."""

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        """Show the metrics of a finished epoch."""

    def end(self, trial: Trial, state: State) -> None:
        """Note that a trial is over."""


# name: constructor, which takes the name of the study and the folder of its results
MIRRORS: dict[str, Callable[[str, Path], Mirror]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": WeightsAndBiases,
}
