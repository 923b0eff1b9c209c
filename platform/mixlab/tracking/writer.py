"""A thread that writes what it is given, in order, until the store takes it."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

LOG = logging.getLogger("mixlab")

RETRY_SECONDS = 2.0
# MLflow's words for what no repetition mends.
FINAL = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "PERMISSION_DENIED")


class Writer:
    """Runs queued writes one after another in a thread, each again until it succeeds."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Callable[[], Any]] = queue.Queue()
        self.refused: list[str] = []  # first lines of errors that no repetition will mend
        threading.Thread(target=self._run, daemon=True, name="mlflow-writer").start()

    def put(self, write: Callable[[], Any]) -> None:
        """Queue a write; it must bear being run twice."""
        self._queue.put(write)

    def drain(self, seconds: float) -> bool:
        """Wait for the queue; False if for so long nothing is taken from it."""
        left, end = self._queue.unfinished_tasks, time.monotonic() + seconds
        while left and time.monotonic() < end:
            time.sleep(0.02)
            if self._queue.unfinished_tasks < left:
                end = time.monotonic() + seconds
            left = self._queue.unfinished_tasks
        return not left

    def _run(self) -> None:
        while True:
            write = self._queue.get()
            while True:
                try:
                    write()
                    break
                except Exception as error:
                    if getattr(error, "error_code", None) in FINAL:
                        LOG.error("MLflow refused a write", exc_info=True)
                        self.refused.append(str(error).splitlines()[0])
                        break
                    LOG.warning("MLflow did not take a write; trying again", exc_info=True)
                    time.sleep(RETRY_SECONDS)
            self._queue.task_done()
