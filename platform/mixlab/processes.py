"""Tells others that a process still runs: its name, by machine, number and start, and a beat now and then."""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

BEAT_SECONDS = 20.0
GONE_SECONDS = 120.0  # without a beat
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


def heartbeat(beat: Callable[[], object]) -> threading.Event:
    """Call ``beat`` every ``BEAT_SECONDS`` in a thread, until it returns False or the returned event is set."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(BEAT_SECONDS):
            try:
                if beat() is False:
                    return
            except Exception:  # the storage is away for a while; the next beat may arrive
                LOG.warning("no heartbeat", exc_info=True)

    threading.Thread(target=keep, daemon=True, name="heartbeat").start()
    return over
