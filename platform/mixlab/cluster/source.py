"""The interfaces of a schedule: a source that gives it trials, and a listener that receives its events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial
from mixlab.storage.journal import Saved


@dataclass(frozen=True)
class Job:
    """A trial to run, from its checkpoint if there is one."""

    trial: Trial
    saved: Saved | None = None


@dataclass(frozen=True)
class End:
    """The end of a trial."""

    state: State  # done, pruned or failed
    value: float | None = None  # in a search, the objective's last value
    error: str = ""  # for a failed trial, a traceback or a sentence
    # True if it failed by an exception that the trainable documents, which is an answer about the configuration; any
    # other failure is a fault.
    answer: bool = False


class Source(Protocol):
    """Chooses the trials. A study lists them; a search proposes them."""

    def next(self, room: int) -> Job | None:
        """Return the next trial, or None while there is none.

        So many trials as there is ``room`` for may run now; more when a node joins.
        """

    def over(self) -> bool:
        """Return whether no more trials will come."""

    def reported(self, trial: Trial, epoch: Epoch, may_stop: bool = True) -> End | None:
        """Note that a trial has finished an epoch; return how it must end, if it must stop now.

        A trial of which the journal holds every epoch is not stopped any more: ``may_stop`` is False. ``BadInput`` is
        raised if the source cannot continue with such reports.
        """

    def ended(self, trial: Trial, end: End) -> None:
        """Note that a trial is over."""


class Listener(Protocol):
    """Receives the events of the trials."""

    def resumed(self, trial: Trial, epochs: Sequence[Epoch]) -> None:
        """Note that a trial will continue after ``epochs``, which an earlier start has run."""

    def started(self, trial: Trial, latest: Epoch | None) -> None:
        """Note that a trial begins, or begins again: after the ``latest`` epoch that has a checkpoint, if any has."""

    def reported(self, trial: Trial, epoch: Epoch) -> None:
        """Note that a trial has finished an epoch."""

    def crashed(self, trial: Trial, account: str) -> None:
        """Note that a trial has crashed, or found a damaged checkpoint, and how it goes on, as ``account`` says."""

    def ended(self, trial: Trial, end: End, checkpoint: str) -> None:
        """Note that a trial is over; ``checkpoint`` is the folder of its last one in the storage, or empty."""
