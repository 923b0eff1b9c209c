"""Finds which drivers share a search, and which of them are still alive.

A driver is named by its machine and process. On one machine the process is looked up, so that a killed driver's trials
are free at once; across machines the heartbeat decides.
"""

import logging
import threading
import time

import optuna

from mixlab.processes import machine_of, runs_here, this_process

BEAT_SECONDS = 20.0
GONE_SECONDS = 120.0  # without a beat; the clocks of machines that share a storage must differ by less

LOG = logging.getLogger("mixlab")


class Drivers:
    """The drivers of a search, as one of them sees them. Use as a context, in which it is alive to the others.

    Args:
        study: an Optuna study without trials, which holds the drivers' messages to each other.
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
        """Return whether the driver of this name still runs; nobody has the empty name."""
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
