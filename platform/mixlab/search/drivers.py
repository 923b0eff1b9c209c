"""Finds which drivers share a search, and which of them are still alive.

A driver is named by its machine and process. On one machine the process is looked up, so that a killed driver's trials
are free at once. Across machines the heartbeat decides, whose clock may be hours off: it is watched for a change.
"""

import contextlib
import time
from collections.abc import Iterator

import optuna

from mixlab.processes import BEAT_SECONDS, GONE_SECONDS, WATCH_SECONDS, machine_of, repeated, runs_here, this_process

BEAT = "beat "  # begins the name under which a driver leaves the time of its last beat


class Drivers:
    """The drivers of a search, as one of them sees them.

    An Optuna study without trials holds their messages to each other.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self.me = this_process()
        self._seen: dict[str, tuple[float, float]] = {}  # by driver, its last beat, and when that was first seen here

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Be alive to the others inside the block."""
        self._beat()
        with repeated(self._beat, BEAT_SECONDS, "heartbeat"):
            yield

    def alive(self, driver: str) -> bool:
        """Return whether the driver of this name still runs; nobody has the empty name."""
        if machine_of(driver) == machine_of(self.me):
            return runs_here(driver)
        beat = self.study.user_attrs.get(BEAT + driver)
        if beat is None:
            return False
        if driver not in self._seen or self._seen[driver][0] != beat:
            self._seen[driver] = (beat, time.monotonic())
        # One whose last beat seems to be old already is soon given up.
        silence = time.monotonic() - self._seen[driver][1]
        return silence < (GONE_SECONDS if abs(time.time() - beat) < GONE_SECONDS else WATCH_SECONDS)

    def alone(self) -> bool:
        """Return whether every other driver has ended for certain: one on another machine may be cut off."""
        others = {name.removeprefix(BEAT) for name in self.study.user_attrs if name.startswith(BEAT)} - {self.me}
        return not any(self.alive(driver) for driver in others)

    def _beat(self) -> None:
        self.study.set_user_attr(BEAT + self.me, time.time())
