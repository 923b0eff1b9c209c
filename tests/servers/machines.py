"""Machines within one, joined by a switch: each with a network, processes, shared memory and folders of its own.

They are Linux namespaces, each held by a process; nothing listens outside them. The program that makes them is
itself on the switch, in a network of its own (``alone``).
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.servers import program
from tests.servers.isolation import AS_ROOT, PROCESSES, raise_loopback

SWITCH = "10.77.0.1"
OWN = ("--net", "--mount", "--uts", "--pid")
KEEP = "echo ready; exec sleep infinity"
# Nobody answers there, and says so at once: a name server outside would be waited for, five seconds for each name.
NO_NAMES = (
    "echo nameserver 127.0.0.1 > /dev/shm/resolv.conf",
    "[ ! -e /etc/resolv.conf ] || mount --bind /dev/shm/resolv.conf /etc/resolv.conf",
)


def alone(command: Sequence[str]) -> list[str]:
    """Return the command in a network of its own, with root's rights over it, its mounts and its processes."""
    return ["unshare", *AS_ROOT, "--net", "--mount", "--uts", *PROCESSES, *command]


def why_not() -> str:
    """Return why there can be no machines here; an empty text if there can."""
    if shutil.which("ip") is None:
        return "needs iproute2"
    script = "ip link add switch type bridge && ip link add left type veth peer name right && mount -t tmpfs none /mnt"
    done = subprocess.run(alone(["sh", "-c", script]), capture_output=True, text=True)
    return f"the kernel grants no namespaces: {done.stderr.strip()}" if done.returncode else ""


def make_switch() -> None:
    """Join this program's network to the switch, at the address ``SWITCH``."""
    raise_loopback()
    _ip("link", "add", "switch", "type", "bridge")
    _ip("address", "add", f"{SWITCH}/24", "dev", "switch")
    _ip("link", "set", "switch", "up")
    with contextlib.suppress(OSError):  # requests to the outside then fail at once
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


class Machine:
    """A machine that ``machine`` has made."""

    def __init__(self, name: str, address: str, keeper: int) -> None:
        self.name = name
        self.address = address
        self.keeper = keeper  # its first process: all others end with it
        # No folder of the caller's is taken along: it would lead out of the machine.
        self.through = ("nsenter", f"--target={keeper}", *OWN, "env", "--chdir=/")

    def unplug(self) -> None:
        """Take it from the switch: everything sent to it or from it is lost, and nobody is notified."""
        _ip("link", "set", self.name, "down")

    def lose_power(self) -> None:
        """End everything that runs there, without closing a single connection."""
        self.unplug()
        os.kill(self.keeper, signal.SIGKILL)

    def inside(self, folder: Path, *command: str) -> list[str]:
        """Return a command that runs there, in ``folder``."""
        return [*self.through[:-1], f"--chdir={folder}", *command]


@contextlib.contextmanager
def machine(name: str, number: int, folders: Sequence[tuple[Path, Path]], hidden: Sequence[Path]) -> Iterator[Machine]:
    """Yield a machine with a host's name inside the block.

    Its address ends with ``number``; of ``folders`` each is given with its path there, and those ``hidden`` are empty.
    """
    script = [f"hostname {name}", "ip link set lo up", "mount -t tmpfs -o size=1g none /dev/shm", *NO_NAMES]
    script += [f"mount --bind '{folder}' '{seen}'" for folder, seen in folders]
    script += [f"mount -t tmpfs none '{folder}'" for folder in hidden]
    start = ("unshare", *OWN, "--fork", "--kill-child", "--mount-proc", "sh", "-ec")
    keeper = subprocess.Popen([*start, "\n".join([*script, KEEP])], stdout=subprocess.PIPE)
    try:
        assert keeper.stdout.readline() == b"ready\n", f"there is no machine {name}"
        first = int(Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text())
        made = Machine(name, SWITCH.removesuffix("1") + str(number), first)
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(first))
        _ip("link", "set", name, "master", "switch", "up")
        for setting in (
            ("address", "add", f"{made.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", SWITCH),  # Ray asks by which address the world is reached
        ):
            subprocess.run(made.inside(Path("/"), "ip", *setting), check=True)
        yield made
    finally:
        keeper.kill()
        keeper.wait()


def run_on_the_switch(function: Callable[[Path], None], folder: Path) -> None:
    """Run a function in a process that makes the machines."""
    program.run_alone(function, folder, alone)


def _ip(*command: str) -> None:
    subprocess.run(["ip", *command], check=True)
