"""Keeps a second driver off what drivers on several machines share, where nothing can be locked.

The driver at work leaves a text there: its name, when it began, and a number that rises with every beat. On its own
machine the process is looked up, so that a killed driver holds nobody up. Across machines, whose clocks may be hours
off, the text is watched for a change.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from mixlab.processes import BEAT_SECONDS, LAST_SECONDS, heartbeat, in_words, machine_of, runs_here, this_process

WATCH_SECONDS = 2.5 * BEAT_SECONDS  # without a beat, after which a driver on another machine is taken for dead
LOOK_SECONDS = 1.0  # the pause between two looks at the text


class Board(Protocol):
    """Holds one text, which every driver sees."""

    def read(self) -> str:
        """Return the text; an empty one if there is none."""

    def write(self, text: str) -> None:
        """Replace the text."""

    def remove(self) -> None:
        """Remove the text."""


class OtherDriver(Exception):
    """Another driver is at work; the message is its name in words."""

    def __init__(self, text: str) -> None:
        name, _, rest = text.partition(" since ")
        super().__init__(in_words(name))
        self.since = rest.partition(" beat ")[0]  # by the clock of its machine


@contextlib.contextmanager
def claimed(
    board: Board, watching: Callable[[str], None], lost: Callable[[str], None], *, neighbours: bool = False
) -> Iterator[None]:
    """Be the only driver inside the block.

    Args:
        board: where the drivers leave their text.
        watching: called with a sentence before another machine's driver is watched.
        lost: called in another thread, with a sentence, when this driver was taken for dead, as after its computer has
            slept, and another one has taken over.
        neighbours: allow other drivers on the same machine.

    Raises:
        OtherDriver: another one is at work.
    """
    claim = _Claim(board, neighbours)
    claim.require_nobody(watching)
    claim.beat()
    time.sleep(LOOK_SECONDS)
    claim.require_nobody(watching)  # of two that start at once, the second has replaced the text of the first

    def keep() -> bool:
        if claim.holds(board.read()):
            claim.beat()
            return True
        lost("another start of this study has taken over, because this one had not written for long")
        return False

    try:
        with heartbeat(keep):
            yield
    finally:
        last = threading.Thread(target=claim.withdraw, daemon=True)
        last.start()
        last.join(LAST_SECONDS)


class _Claim:
    """The claim of one driver."""

    def __init__(self, board: Board, neighbours: bool) -> None:
        self.board = board
        self.neighbours = neighbours
        self.mine = f"{this_process()} since "  # how this driver's texts begin
        self.began = time.strftime("%Y-%m-%d %H:%M:%S")
        self.machine = machine_of(self.mine)
        self._beats = 0

    def beat(self) -> None:
        self._beats += 1
        self.board.write(f"{self.mine}{self.began} beat {self._beats}")

    def holds(self, text: str) -> bool:
        """Return whether a text is this driver's, or that of a neighbour, who takes it away at its end."""
        return text.startswith(self.mine) or (self.neighbours and (not text or machine_of(text) == self.machine))

    def require_nobody(self, watching: Callable[[str], None]) -> None:
        """Raise ``OtherDriver`` if another driver is at work."""
        text, until = self.board.read(), time.monotonic() + WATCH_SECONDS
        if not text or self.holds(text):
            return
        name = text.partition(" since ")[0]
        if machine_of(name) == self.machine:
            if runs_here(name):
                raise OtherDriver(text)
            return
        watching(
            f"A start of this study {in_words(name)} has not ended as usual, or is still at work: "
            f"waiting up to {WATCH_SECONDS:.0f} s for a sign of it ..."
        )
        while time.monotonic() < until:
            if (now := self.board.read()) != text:
                if not now or self.holds(now):
                    return
                raise OtherDriver(now)
            time.sleep(LOOK_SECONDS)

    def withdraw(self) -> None:
        """Remove this driver's text; what holds it may be away."""
        with contextlib.suppress(Exception):
            if self.board.read().startswith(self.mine):
                self.board.remove()
