"""The interface of a mirror."""

from typing import Protocol

from mixlab.spec.epoch import Epoch
from mixlab.spec.state import State
from mixlab.spec.trial import Trial


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
