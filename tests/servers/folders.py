"""Folders for servers, directly below /tmp: the next test run removes the leftovers of one that was killed."""

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
    """Yield a new folder inside the block.

    This process holds its lock for that long, so that a folder with a free lock is known to be nobody's: the number of
    a process would not say so in another process namespace.
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
    """Hold the lock of a file inside the block, then remove it; raise ``OSError`` if another process holds it."""
    with file.open("a") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
