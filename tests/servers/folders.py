"""Folders for servers, directly below /tmp: a leftover of a test run that was killed goes when the next one begins."""

import contextlib
import fcntl
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "mixlab-"
MAKING_SECONDS = 10.0  # a lock that is younger may be about to be taken


@contextlib.contextmanager
def temporary(kind: str, parent: Path = Path("/tmp")) -> Iterator[Path]:
    """Give a new folder for the length of the block.

    Its lock is held for that long by this process, so that a folder whose lock is free is known to be nobody's: no
    number of a process says so in another's process namespace.
    """
    remove_leftovers(parent)
    folder = parent / f"{PREFIX}{kind}-{secrets.token_hex(4)}"
    with _locked(folder.with_suffix(".lock")):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Remove the folders whose owners have ended without doing so."""
    for lock in parent.glob(f"{PREFIX}*.lock"):
        with contextlib.suppress(OSError):  # in use, gone, or another user's
            if time.time() - lock.stat().st_mtime > MAKING_SECONDS:
                with _locked(lock):
                    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the lock of a file for the length of the block, then remove it; ``OSError`` where another holds it."""
    with file.open("a") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
