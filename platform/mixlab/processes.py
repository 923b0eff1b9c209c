"""Names processes, so that others can tell whether they still run, and keeps a second driver off what drivers share.

A process is named by its machine, number and start. Where nothing can be locked, the driver at work leaves a text: its
name, when it began, and a number that rises with every heartbeat. On the same machine the process is looked up, so that
a killed driver holds nobody up. From other machines, whose clocks may be hours off, the text is watched for a change.
"""

import contextlib
import itertools
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol, TypeVar

import psutil

BEAT_SECONDS = 20.0
GONE_SECONDS = 120.0  # without a heartbeat, after which a search's driver on another machine counts as dead
AWAY_SECONDS = 1800.0  # how long the server of a bucket, or of a search's trials, may be away
LAST_SECONDS = 5.0  # the longest wait for a call that is under way at the end
WATCH_SECONDS = 2.5 * BEAT_SECONDS  # as GONE_SECONDS, for the driver that holds a claim
LOOK_SECONDS = 1.0  # the pause between two looks at the text
BOOT = Path("/proc/sys/kernel/random/boot_id")  # on Linux

LOG = logging.getLogger("mixlab")

Result = TypeVar("Result")


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
    """Return whether a process of this machine still runs; another that has got its number does not count."""
    name = process.rpartition("#")[2]
    try:
        number = int(name.partition("@")[0])
        return name_of(number) == name and psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError, ValueError):
        return False


def name_of(number: int) -> str:
    """Return ``PID@START`` of a process of this machine; on Linux in ticks since the boot, whatever the clock."""
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


def in_background(work: Callable[[], Result], future: Future[Result], name: str) -> None:
    """Do ``work`` in a thread that does not hold up the end of the process; the ``future`` gets its result."""

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=name).start()


class Board(Protocol):
    """Holds one text, which every driver sees."""

    def read(self) -> str:
        """Return the text; an empty one if there is none."""

    def write(self, text: str) -> None:
        """Replace the text; an empty one takes it away."""


class OtherDriver(Exception):
    """Another driver is at work; the message is its name in words."""

    def __init__(self, text: str) -> None:
        name, _, rest = text.partition(" since ")
        super().__init__(in_words(name))
        self.since = rest.partition(" beat ")[0]  # by the clock of its machine


def is_over(text: str) -> bool:
    """Return whether the driver that has left a text has ended for certain: one on another machine may be cut off."""
    name = text.partition(" since ")[0]
    return not text or (machine_of(name) == machine_of(this_process()) and not runs_here(name))


@contextlib.contextmanager
def claimed(
    board: Board,
    watching: Callable[[str], None],
    lost: Callable[[str], None],
    *,
    neighbours: bool = False,
    meanwhile: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Be the only driver inside the block.

    Args:
        board: where the drivers leave their text.
        watching: called with a sentence before another machine's driver is watched.
        lost: called in another thread, with a sentence, when this driver was taken for dead, as after its computer has
            slept, and another one has taken over.
        neighbours: allow other drivers on the same machine.
        meanwhile: called between the two looks at the text, which are a second apart.

    Raises:
        OtherDriver: another one is at work.
    """
    mine = f"{this_process()} since "  # how this driver's texts begin
    began, beats = time.strftime("%Y-%m-%d %H:%M:%S"), itertools.count(1)

    def beat() -> None:
        board.write(f"{mine}{began} beat {next(beats)}")

    def is_free(text: str) -> bool:
        """Return whether the text is empty, this driver's, or a neighbour's, which removes it at its end."""
        return not text or text.startswith(mine) or (neighbours and machine_of(text) == machine_of(mine))

    def stands() -> bool:
        """Return whether nobody else has replaced or removed the text."""
        text = board.read()
        return is_free(text) and bool(text or neighbours)

    def keep() -> bool:
        if stands():
            beat()
            return True
        lost("another start of this study has taken over, because this one had not written for long")
        return False

    def withdraw() -> None:
        with contextlib.suppress(Exception):  # the store of the text may be away
            if board.read().startswith(mine):
                board.write("")

    _require_free(board, is_free, watching)
    beat()
    until = time.monotonic() + LOOK_SECONDS
    meanwhile()
    time.sleep(max(0.0, until - time.monotonic()))
    while not stands():  # if two start at once, the second replaces the first one's text
        _require_free(board, is_free, watching)
        beat()  # the second is dead
        time.sleep(LOOK_SECONDS)
    beat()  # another driver may be watching for a sign of this one
    try:
        with repeated(keep, BEAT_SECONDS, "heartbeat"):
            yield
    finally:
        last = threading.Thread(target=withdraw, daemon=True)
        last.start()
        last.join(LAST_SECONDS)


def _require_free(board: Board, is_free: Callable[[str], bool], watching: Callable[[str], None]) -> None:
    """Raise ``OtherDriver`` if another driver is at work."""
    text, until = board.read(), time.monotonic() + WATCH_SECONDS
    name = text.partition(" since ")[0]
    if is_free(text):
        return
    if machine_of(name) == machine_of(this_process()):
        if runs_here(name):
            raise OtherDriver(text)
        return
    watching(
        f"A start of this study {in_words(name)} has not ended as usual, or is still at work: "
        f"waiting up to {WATCH_SECONDS:.0f} s for a sign of it ..."
    )
    while (now := board.read()) == text:
        if time.monotonic() > until:
            return
        time.sleep(LOOK_SECONDS)
    if not is_free(now):
        raise OtherDriver(now)
