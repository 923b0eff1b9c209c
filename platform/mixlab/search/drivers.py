"""Finds which drivers share a search, and which of them are still alive.

A driver is named by its machine and process. On one machine the process is looked up, so that a killed driver's trials
are free at once. Across machines the heartbeat decides, whose clock may be hours off: it is watched for a change.
"""

import logging
import threading
import time

import optuna

from mixlab.processes import machine_of, runs_here, this_process

BEAT_SECONDS = 20.0
GONE_SECONDS = 120.0  # without a beat
SOON_SECONDS = 2.5 * BEAT_SECONDS  # the same, for one whose last beat seems to be older than that

LOG = logging.getLogger("mixlab")


class Drivers:
    """The drivers of a search, as one of them sees them. Use as a context, in which it is alive to the others.

    An Optuna study without trials holds their messages to each other.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self.me = this_process()
        self._seen: dict[str, tuple[float, float]] = {}  # by driver, its last beat, and when that was first seen here
        self._over = threading.Event()

    def __enter__(self) -> "Drivers":
        self._beat()
        threading.Thread(target=self._keep_beating, daemon=True, name="search-heartbeat").start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()

    def alive(self, driver: str) -> bool:
        """Return whether the driver of this name still runs; nobody has the empty name."""
        if driver == self.me:
            return True
        if machine_of(driver) == machine_of(self.me):
            return runs_here(driver)
        beat = self.study.user_attrs.get(f"beat {driver}")
        if beat is None:
            return False
        if driver not in self._seen or self._seen[driver][0] != beat:
            self._seen[driver] = (beat, time.monotonic())
        silence = time.monotonic() - self._seen[driver][1]
        return silence < (GONE_SECONDS if abs(time.time() - beat) < GONE_SECONDS else SOON_SECONDS)

    def _beat(self) -> None:
        self.study.set_user_attr(f"beat {self.me}", time.time())

    def _keep_beating(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            try:
                self._beat()
            except Exception:  # the storage is away for a while; the next beat may arrive
                LOG.warning("no heartbeat", exc_info=True)
