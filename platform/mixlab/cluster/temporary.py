"""The temporary folders of trials, and the removal of those that killed processes have left behind."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "mixlab-trial-"
SETTLED_SECONDS = 60.0  # a younger folder without a lock may be about to get one


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder, which is locked inside the block, while the process lives, and removed after it."""
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder,
        contextlib.ExitStack() as held,
    ):
        with contextlib.suppress(OSError):  # a file system without locks, on which nothing is removed either
            held.enter_context(_locked(folder))
        yield Path(folder)


def remove_abandoned() -> None:
    """Remove the temporary folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another process's, or removed by now
            if time.time() - folder.stat().st_mtime > SETTLED_SECONDS:
                with _locked(folder):
                    shutil.rmtree(folder)


@contextlib.contextmanager
def _locked(folder: str | Path) -> Iterator[None]:
    """Lock a folder inside the block; raise ``OSError`` if that cannot be done."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
