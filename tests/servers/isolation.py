"""A network of its own for a program: only a loopback interface, so what listens everywhere is reached by nobody."""

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
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def isolated(command: Sequence[str]) -> list[str]:
    """The command with its own network; the command itself where the kernel grants none, as in some containers."""
    prefix = _prefix()
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return list(command)
    return [*prefix, *command]


def run_alone(file: str, folder: Path, timeout: float) -> None:
    """Run a test's own file as a program with its own network, the folder its argument; it fails with its output.

    Args:
        file: the test's ``__file__``.
        folder: for its files.
        timeout: seconds.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = isolated([sys.executable, file, str(folder)])
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"


@cache
def _prefix() -> tuple[str, ...]:
    # Others than root get a network only with users of its own, where they are who they were.
    users = () if os.geteuid() == 0 else ("--user", "--map-current-user", "--keep-caps")
    return ("unshare", *users, "--net", sys.executable, __file__)


def raise_loopback() -> None:
    """Switch on the loopback interface of this network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


if __name__ == "__main__":
    raise_loopback()
    os.execvp(sys.argv[1], sys.argv[1:])
