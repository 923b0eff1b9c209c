"""Tells which drivers share a search, and which of them are still there.

A driver is named by its machine and process. On one machine the process is looked up, so that a killed driver's trials
are free at once; on others it is the heartbeat that tells.
"""

import logging
import threading
import time

import optuna

from mixlab.processes import machine_of, runs_here, this_process

BEAT_SECONDS = 20.0
GONE_SECONDS = 120.0  # without a beat; clocks of machines that share a storage may differ by less than that

LOG = logging.getLogger("mixlab")


class Drivers:
    """The drivers of a search, as one of them sees them. Use as a context: it is alive to others within.

    Args:
        study: an Optuna study that holds no trials but what drivers tell each other.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self.me = this_process()
        self._over = threading.Event()

    def __enter__(self) -> "Drivers":
        self._beat()
        threading.Thread(target=self._keep_beating, daemon=True, name="search-heartbeat").start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()

    def alive(self, driver: str) -> bool:
        """Return whether a driver, by its name, still runs; nobody has the empty name."""
        if driver == self.me:
            return True
        if machine_of(driver) == machine_of(self.me):
            return runs_here(driver)
        beat = float(self.study.user_attrs.get(f"beat {driver}", 0.0))
        return time.time() - beat < GONE_SECONDS

    def _beat(self) -> None:
        self.study.set_user_attr(f"beat {self.me}", time.time())

    def _keep_beating(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            try:
                self._beat()
            except Exception:  # the storage is away for a while; the next beat may arrive
                LOG.warning("no heartbeat", exc_info=True)
