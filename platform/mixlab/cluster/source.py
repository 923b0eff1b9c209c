"""What a schedule asks for trials, and what it tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from mixlab.spec.epoch import Epoch
from mixlab.spec.state import State
from mixlab.spec.study import Trial
from mixlab.storage.journal import Saved


@dataclass(frozen=True)
class Job:
    """A trial to run, from its checkpoint if there is one."""

    trial: Trial
    saved: Saved | None = None


class Wait(Enum):
    """Nothing is to be run just now."""

    WAIT = "wait"


WAIT = Wait.WAIT


@dataclass(frozen=True)
class End:
    """How a trial ended.

    Args:
        state: done, pruned or failed.
        value: of a search, the objective's last value.
        error: of a failed trial, a traceback or a sentence.
    """

    state: State
    value: float | None = None
    error: str = ""


class Source(Protocol):
    """Chooses the trials. A study lists them; a search proposes them."""

    def next(self, room: int) -> Job | Wait | None:
        """Return the next trial; ``WAIT`` while there is none, and None when none will come any more.

        Args:
            room: how many trials may run just now; more when a node joins.
        """

    def reported(self, trial: Trial, epoch: Epoch, fresh: bool = True) -> End | None:
        """A trial has finished an epoch; return how it has to end, if it has to stop by that.

        Args:
            trial: which.
            epoch: what it reports.
            fresh: False of an epoch that the journal holds from an earlier start.

        Raises:
            BadInput: nothing can go on by such reports.
        """

    def ended(self, trial: Trial, end: End) -> None:
        """A trial is over."""


class Listener(Protocol):
    """Is told what happens to the trials."""

    def resumed(self, trial: Trial, epochs: Sequence[Epoch]) -> None:
        """A trial will go on after ``epochs``, which an earlier start has run."""

    def started(self, trial: Trial) -> None:
        """A trial begins, or begins again."""

    def reported(self, trial: Trial, epoch: Epoch) -> None:
        """A trial has finished an epoch."""

    def crashed(self, trial: Trial, account: str) -> None:
        """A trial has crashed and will be tried again from its checkpoint; ``account`` says so in words."""

    def ended(self, trial: Trial, end: End, checkpoint: str) -> None:
        """A trial is over; ``checkpoint`` is the folder of its last checkpoint in the storage, empty without one."""
