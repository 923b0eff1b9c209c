"""Where a trial stands: one word for one state, wherever it is shown, tagged or read."""

from enum import Enum


class State(Enum):
    """The state of a trial."""

    PENDING = "pending"  # was never begun
    RUNNING = "running"
    INTERRUPTED = "interrupted"  # was begun, and goes on at the next start
    DONE = "done"
    PRUNED = "pruned"  # was stopped early by the search
    FAILED = "failed"

    @property
    def over(self) -> bool:
        """Whether the trial has ended for good."""
        return self in (State.DONE, State.PRUNED, State.FAILED)
