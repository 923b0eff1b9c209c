"""Tells others that a process still runs: its name, by machine, number and start, and a beat now and then."""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

BEAT_SECONDS = 20.0
GONE_SECONDS = 120.0  # without a beat
LAST_SECONDS = 5.0  # for a call that is under way at the end, for which nobody waits longer
BOOT = Path("/proc/sys/kernel/random/boot_id")  # of Linux

LOG = logging.getLogger("mixlab")


def this_process() -> str:
    """Return ``HOST/BOOT NAMESPACE#PID@START``.

    Containers may share a host's name, but not its processes. Machines may share a name as well, such as localhost, and
    then the numbers of their namespaces; the id of a boot is one machine's, and ends with its processes.
    """
    boot = namespace = ""
    with contextlib.suppress(OSError):
        boot = BOOT.read_text(encoding="utf-8").strip()
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()}/{boot} {namespace}#{name_of(os.getpid())}"


def machine_of(process: str) -> str:
    """Return the part of a name that says on which machine the process runs."""
    return process.rpartition("#")[0]


def in_words(process: str) -> str:
    """Return where a process runs, for people: ``on HOST (process PID)``."""
    return f"on {process.partition('/')[0]} (process {process.rpartition('#')[2].partition('@')[0]})"


def runs_here(process: str) -> bool:
    """Return whether this machine still runs a process of its own: its number may have gone to another."""
    name = process.rpartition("#")[2]
    try:
        number = int(name.partition("@")[0])
        return name_of(number) == name and psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError, ValueError):
        return False


def name_of(number: int) -> str:
    """Return ``PID@START`` of a process of this machine; on Linux by the ticks since the boot, which no clock moves."""
    started = psutil.Process(number).create_time()
    file = Path(f"/proc/{number}/stat")
    if file.exists():
        started = float(file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19])
    return f"{number}@{started:.0f}"


@contextlib.contextmanager
def repeated(call: Callable[[], object], seconds: float, name: str) -> Iterator[None]:
    """Call ``call`` every so many ``seconds`` inside the block, in a thread of this name, until it returns False."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(seconds):
            try:
                if call() is False:
                    return
            except Exception:  # such as a storage that is away for a while; the next call may succeed
                LOG.warning("no %s", name, exc_info=True)

    thread = threading.Thread(target=go_on, daemon=True, name=name)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LAST_SECONDS)


def heartbeat(beat: Callable[[], object]) -> contextlib.AbstractContextManager[None]:
    """Call ``beat`` every ``BEAT_SECONDS`` inside the block, until it returns False."""
    return repeated(beat, BEAT_SECONDS, "heartbeat")
