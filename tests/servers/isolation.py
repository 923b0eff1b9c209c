"""Gives a program a network and processes of its own: nobody can reach a server that listens everywhere, and no part
of the program goes on once it has ended, however it ended.
"""

import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
AS_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")  # options of unshare
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
# The first process of its own takes all others with it when it ends, and is killed when the one outside ends.
PROCESSES = ("--pid", "--fork", "--kill-child", "--mount-proc")


def isolated(command: Sequence[str]) -> list[str]:
    """Return the command with a network and processes of its own.

    It is the command itself if the kernel grants none, as in some containers.
    """
    prefix = _prefix()
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
        return [*prefix, *command]
    return list(command)


@cache
def _prefix() -> tuple[str, ...]:
    # Others than root get a network only with users of its own, where they are who they were.
    users = () if os.geteuid() == 0 else ("--user", "--map-current-user", "--keep-caps")
    return ("unshare", *users, "--net", *PROCESSES, sys.executable, __file__)


def raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


if __name__ == "__main__":
    raise_loopback()
    os.execvp(sys.argv[1], sys.argv[1:])
