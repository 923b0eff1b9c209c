"""Keeps a second driver off a study's folder in a storage behind a URI, where no file can be locked.

A driver repeatedly writes a file with its name and the time. On its own machine the process is looked up, so that a
killed driver's folder is free at once; across machines the time decides.
"""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterator

import pyarrow.fs

from mixlab.errors import BadInput
from mixlab.processes import machine_of, runs_here, this_process

BEAT_SECONDS = 20.0
GONE_SECONDS = 120.0  # without a beat; the clocks of machines that share a storage must differ by less

LOG = logging.getLogger("mixlab")


@contextlib.contextmanager
def claimed(filesystem: pyarrow.fs.FileSystem, folder: str) -> Iterator[None]:
    """Hold ``folder`` inside the block.

    Raises:
        BadInput: another driver holds it; the sentence names its machine.
    """
    file, me, over = f"{folder}/driver.json", this_process(), threading.Event()
    owner = _owner(filesystem, file)
    if owner and owner != me:
        host = owner.partition("/")[0]
        raise BadInput(
            f"another start of this study, on {host}, is at work in this storage: wait for it, or stop it; "
            f"{GONE_SECONDS:.0f} s after its end its place is free"
        )
    filesystem.create_dir(folder)
    _beat(filesystem, file, me)
    threading.Thread(target=_keep_beating, args=(filesystem, file, me, over), daemon=True, name="claim").start()
    try:
        yield
    finally:
        over.set()
        with contextlib.suppress(OSError):
            filesystem.delete_file(file)


def _owner(filesystem: pyarrow.fs.FileSystem, file: str) -> str:
    """Return the name of the living driver that holds the folder; empty if there is none."""
    if filesystem.get_file_info(file).type == pyarrow.fs.FileType.NotFound:
        return ""
    try:
        with filesystem.open_input_stream(file) as stream:
            found = json.loads(stream.read().decode())
    except (OSError, ValueError):
        return ""
    name = str(found["driver"])
    if machine_of(name) == machine_of(this_process()):
        return name if runs_here(name) else ""
    return name if time.time() - found["beat"] < GONE_SECONDS else ""


def _beat(filesystem: pyarrow.fs.FileSystem, file: str, me: str) -> None:
    with filesystem.open_output_stream(file) as stream:
        stream.write(json.dumps({"driver": me, "beat": time.time()}).encode())


def _keep_beating(filesystem: pyarrow.fs.FileSystem, file: str, me: str, over: threading.Event) -> None:
    while not over.wait(BEAT_SECONDS):
        try:
            _beat(filesystem, file, me)
        except OSError:  # the storage is away for a while; the next beat may arrive
            LOG.warning("no heartbeat", exc_info=True)
