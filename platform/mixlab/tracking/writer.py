"""A thread that carries out writes in order, repeating each until the store takes it: an outage is waited out.

A disk that is full is an outage: somebody may free some of it.
"""

import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from mlflow.exceptions import MlflowException
from requests.exceptions import HTTPError, RequestException
from sqlalchemy.exc import InterfaceError, OperationalError

from mixlab.errors import ANSWERED, first_line, no_room, root_cause

LOG = logging.getLogger("mixlab")

RETRY_SECONDS = 2.0
TELL_SECONDS = 10.0
FULL_SECONDS = 5.0  # for a disk that is full, since nobody frees some without being told
AWAY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")  # MLflow's words
AWAY_STATUS = (408, 429, 500, 502, 503, 504)  # a server's, or a proxy's
# MLflow has the word INTERNAL_ERROR for any status that it does not know.
STATUS = re.compile(r"failed with error code (\d{3})")
LASTING = ("attempt to write a readonly database", "no such table")  # SQLite calls it operational


class Writer:
    """Runs queued writes one after another in a thread, and repeats each while MLflow is away."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Callable[[], Any]] = queue.Queue()
        self.refused: list[str] = []  # the first line of each error that no repetition will fix
        self.outage = ""  # in one line, the error for which the current write is repeated; empty if there is none
        self.full = False  # whether that error is a full disk
        self.leaving_out = False  # set by others: a write for which a disk is full is left out, not repeated
        self.abandoned = False  # set by others: whoever queued the writes has given up, and nothing more is carried out
        threading.Thread(target=self._run, daemon=True, name="mlflow-writer").start()

    def put(self, write: Callable[[], Any]) -> None:
        """Queue a write; running it twice must do no harm."""
        self._queue.put(write)

    def drain(self, seconds: float, tell: Callable[[int], None] = lambda left: None) -> bool:
        """Wait for the queue; return False if nothing is taken from it for ``seconds``, or less if a disk is full.

        While it empties, ``tell`` is called from time to time with how many writes are left.
        """
        left, since = self._queue.unfinished_tasks, time.monotonic()
        last_told = since
        while left and time.monotonic() - since < (min(seconds, FULL_SECONDS) if self.full else seconds):
            with self._queue.all_tasks_done:
                self._queue.all_tasks_done.wait(0.02)
            if self._queue.unfinished_tasks < left:
                since = time.monotonic()
                if since - last_told > TELL_SECONDS:
                    last_told = since
                    tell(self._queue.unfinished_tasks)
            left = self._queue.unfinished_tasks
        return not left

    def _run(self) -> None:
        while True:
            write = self._queue.get()
            while not self.abandoned and not self._settle(write):
                time.sleep(RETRY_SECONDS)
            self._queue.task_done()

    def _settle(self, write: Callable[[], Any]) -> bool:
        """Try a write, and return whether it is done with: carried out, refused or left out."""
        try:
            write()
        except Exception as error:
            if not is_outage(error):
                LOG.error("MLflow refused a write", exc_info=True)
                self.refused.append(first_line(error))
                return True
            LOG.warning("MLflow did not take a write; trying again", exc_info=True)
            chained = error.__cause__ is not None or ANSWERED.search(str(error)) is not None
            self.outage = root_cause(error) if chained else first_line(error)
            self.full = is_full(error)
            return self.full and self.leaving_out
        if not self.leaving_out:
            self.outage, self.full = "", False
        return True


def is_full(error: Exception) -> bool:
    """Return whether ``error`` says that the disk of MLflow's files or of its SQLite database is full."""
    return no_room(error) or "database or disk is full" in str(error)


def is_outage(error: Exception) -> bool:
    """Return whether ``error`` says that MLflow is away for a while."""
    if is_full(error):
        return True
    if isinstance(error, MlflowException):
        status = STATUS.search(str(error))
        if status is not None and int(status[1]) not in AWAY_STATUS:
            return False
        return error.error_code in AWAY and not any(words in str(error) for words in LASTING)
    if isinstance(error, HTTPError) and error.response is not None:
        return error.response.status_code in AWAY_STATUS
    if type(error).__module__.startswith(("boto3", "botocore")):  # from S3 artifacts; they need not be installed
        answer = getattr(error, "response", getattr(error.__context__, "response", None))  # boto3's own has none
        return answer is None or answer["ResponseMetadata"]["HTTPStatusCode"] in AWAY_STATUS
    # SQLAlchemy's own errors get here only where MLflow's rollback fails, because its connection is lost.
    return isinstance(error, RequestException | ConnectionError | TimeoutError | InterfaceError | OperationalError)
