"""Other trackers that show what MLflow records. A mirror is a file, and its line here.

MLflow stays the one record: nothing is read back from a mirror. None can stop the study, slow it down or lose anything
of it: one that fails is dropped.
"""

import contextlib
import importlib.util
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from mixlab.errors import BadInput, first_line, require_known
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial
from mixlab.tracking.mirrors.run_api import Trackio, WeightsAndBiases
from mixlab.tracking.mirrors.tensorboard import TensorBoard

MOST_WAITING = 10_000  # events; a mirror that is further behind is dropped
CLOSE_SECONDS = 15.0  # the time for all mirrors together at the end


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


# name: constructor, which takes the name of the study and the folder of its results; a class whose package may not be
# installed names it in ``package``
MIRRORS: dict[str, Callable[[str, Path], Mirror]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": WeightsAndBiases,
}

Say = Callable[[str], None]


class Mirrors:
    """Every mirror of a study, by name; ``say`` prints a sentence about one that is dropped."""

    def __init__(self, mirrors: dict[str, Mirror], say: Say) -> None:
        self._lines = [_Line(name, mirror, say) for name, mirror in mirrors.items()]

    def start(self, trial: Trial) -> None:
        self._put(lambda mirror: mirror.start(trial))

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        self._put(lambda mirror: mirror.epoch(trial, epoch))

    def end(self, trial: Trial, state: State) -> None:
        self._put(lambda mirror: mirror.end(trial, state))

    def close(self, running: Iterable[Trial]) -> None:
        """End the trials that still run, and wait for the mirrors, but not for long."""
        for trial in running:
            self.end(trial, State.INTERRUPTED)
        for line in self._lines:
            line.close()
        until = time.monotonic() + CLOSE_SECONDS
        for line in self._lines:
            line.wait(until)

    def _put(self, event: Callable[[Mirror], None]) -> None:
        for line in self._lines:
            line.put(partial(event, line.mirror))


class _Line:
    """The queue of one mirror, and the thread that empties it: a mirror that hangs holds up no other."""

    def __init__(self, name: str, mirror: Mirror, say: Say) -> None:
        self.name = name
        self.mirror = mirror
        self.say = say
        self.events: queue.Queue[Callable[[], None] | None] = queue.Queue(MOST_WAITING)
        self.dropped = False
        self.thread = threading.Thread(target=self._run, daemon=True, name=f"mirror-{name}")
        self.thread.start()

    def put(self, event: Callable[[], None]) -> None:
        try:
            self.events.put_nowait(event)
        except queue.Full:
            self._drop("it does not keep up")

    def close(self) -> None:
        with contextlib.suppress(queue.Full):
            self.events.put_nowait(None)

    def wait(self, until: float) -> None:
        self.thread.join(max(0.0, until - time.monotonic()))
        if self.thread.is_alive():
            self._drop("it does not come to an end")

    def _run(self) -> None:
        while not self.dropped and (event := self.events.get()) is not None:
            try:
                event()
            except BaseException as error:  # whatever another project's code may raise, SystemExit too
                self._drop(first_line(error))

    def _drop(self, reason: str) -> None:
        if not self.dropped:
            self.dropped = True
            self.say(f"the mirror {self.name} is dropped: {reason}; MLflow goes on recording everything")


def require_installed(names: Iterable[str]) -> None:
    """Raise ``BadInput`` for a name that is not in ``MIRRORS``, and for one whose package is not installed."""
    for name in names:
        require_known("mirror", name, MIRRORS)
        package = getattr(MIRRORS[name], "package", None)
        if package is not None and importlib.util.find_spec(package) is None:
            raise BadInput(f"--mirrors {name} needs the package {package}, which is not installed")


def opened(names: Sequence[str], study: str, folder: Path, say: Say) -> Mirrors:
    """Return the mirrors of these names in ``MIRRORS``; ``BadInput`` if the package of one cannot be imported."""
    mirrors: dict[str, Mirror] = {}
    for name in names:
        try:
            mirrors[name] = MIRRORS[name](study, folder)
        except ImportError as error:
            raise BadInput(f"--mirrors {name}: its package cannot be imported ({first_line(error)})") from None
    return Mirrors(mirrors, say)
