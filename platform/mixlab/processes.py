"""Names a process by its machine, its number and its start, so that others can tell whether it still runs."""

import os
import socket

import psutil


def this_process() -> str:
    """Return ``HOST/NAMESPACE#PID@START``; containers may share a host's name, but not its processes."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}/{namespace}#{_name(psutil.Process())}"


def machine_of(process: str) -> str:
    """Return the part of a name that says on which machine the process runs."""
    return process.rpartition("#")[0]


def runs_here(process: str) -> bool:
    """Return whether this machine still runs a process of its own: its number may have gone to another."""
    name = process.rpartition("#")[2]
    try:
        found = psutil.Process(int(name.partition("@")[0]))
        return _name(found) == name and found.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError):
        return False


def _name(process: psutil.Process) -> str:
    return f"{process.pid}@{process.create_time():.0f}"
