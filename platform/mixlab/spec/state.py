"""The state of a trial: one word for one state, wherever it is shown, tagged or read."""

from enum import Enum


class State(Enum):
    """The state of a trial."""

    PENDING = "pending"  # it was never begun
    RUNNING = "running"
    INTERRUPTED = "interrupted"  # it was begun, and continues at the next start
    DONE = "done"
    PRUNED = "pruned"  # it was stopped early by the search
    FAILED = "failed"

    @property
    def over(self) -> bool:
        """Return whether the trial has ended for good."""
        return self in (State.DONE, State.PRUNED, State.FAILED)
