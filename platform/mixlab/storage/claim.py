"""Keeps a second driver off a study in a storage behind a URI, where no file can be locked.

Every driver has a file of its own there: its name, its start, and whether it is at work. It first writes that it asks,
and is at work once it has looked and found nobody else; of two that ask at once, the one with the later name withdraws.
On its own machine the process is looked up, so that a killed driver's claim is free at once. Across machines it decides
when a driver has last written its file, by the clock of the storage: those of the machines may differ by hours.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

import pyarrow.fs

from mixlab.errors import BadInput
from mixlab.processes import GONE_SECONDS, heartbeat, in_words, machine_of, runs_here, this_process
from mixlab.spec import json_form

FORM = {"name": str, "since": float, "at_work": bool}  # of a driver's file
LOOK_SECONDS = 0.5  # the pause before another driver, which also asks, is looked at again


@dataclass(frozen=True)
class Driver:
    """A driver, as its file describes it."""

    name: str  # of its process
    since: float  # the time of its start by its own clock, in seconds since 1970
    at_work: bool  # whether it holds the claim, and no longer asks for it

    def alive(self, machine: str, silence: float) -> bool:
        """Return whether it still runs, as seen from a machine, if it has not written for ``silence`` seconds."""
        return runs_here(self.name) if machine_of(self.name) == machine else silence < GONE_SECONDS

    def __str__(self) -> str:
        """Return who it is, for people."""
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"{in_words(self.name)}, is at work in this storage since {started}"


@contextlib.contextmanager
def claimed(
    filesystem: pyarrow.fs.FileSystem,
    folder: str,
    lost: Callable[[str], None],
    *,
    neighbours: bool = False,
    me: str = "",
) -> Iterator[None]:
    """Hold the claim on ``folder`` inside the block.

    Args:
        folder: where the drivers have their files, and nothing else is.
        lost: called in another thread, with a sentence, when this driver was taken for dead, as after its computer
            has slept, and another one has taken over.
        neighbours: allow other drivers on the same machine.
        me: the name of this driver; by default that of this process.

    Raises:
        BadInput: another driver is at work; the sentence says where and since when.
    """
    claim = _Claim(filesystem, folder, me or this_process(), neighbours, lost)
    claim.take()
    over = heartbeat(claim.keep)
    try:
        yield
    finally:
        over.set()
        claim.withdraw()


class _Claim:
    """The claim of one driver."""

    def __init__(
        self, filesystem: pyarrow.fs.FileSystem, folder: str, me: str, neighbours: bool, lost: Callable[[str], None]
    ) -> None:
        self.filesystem = filesystem
        self.folder = folder
        self.neighbours = neighbours
        self.lost = lost
        self.file = f"{folder}/{quote(me, safe='')}.json"
        self.mine = Driver(me, time.time(), at_work=False)
        self._lock = threading.Lock()  # a beat must not write the file again after it was withdrawn

    def take(self) -> None:
        """Return once this driver is at work; raise ``BadInput`` if it is another one."""
        self.filesystem.create_dir(self.folder)
        self._write()
        while others := self._others():
            first = next((other for other in others if other.at_work), None)
            if first is not None or any(other.name < self.mine.name for other in others):
                self.withdraw()
                raise BadInput(
                    f"another start of this study, {first or others[0]}: wait for it, or stop it; "
                    f"{GONE_SECONDS:.0f} s after its end the same command takes over"
                )
            time.sleep(LOOK_SECONDS)
            self._write()
        self.mine = replace(self.mine, at_work=True)
        self._write()

    def keep(self) -> bool:
        """Write the file again; return False if it was removed, or a later driver is at work."""
        with self._lock:
            mine = self.filesystem.get_file_info(self.file)
            kept = bool(mine.type != pyarrow.fs.FileType.NotFound)
            if kept:
                self._write()
        if kept and not any(other.at_work and other.since > self.mine.since for other in self._others()):
            return True
        self.lost("another start of this study has taken over, because this one had not written for long")
        return False

    def withdraw(self) -> None:
        """Delete this driver's file."""
        with self._lock, contextlib.suppress(OSError):
            self.filesystem.delete_file(self.file)

    def _others(self) -> list[Driver]:
        """Return the other drivers that are alive, by name, and remove the files of the dead."""
        machine = machine_of(self.mine.name)
        infos = self.filesystem.get_file_info(pyarrow.fs.FileSelector(self.folder, allow_not_found=True))
        now = max((info.mtime_ns or 0 for info in infos), default=0)  # this driver has just written its own
        found = []
        for info in infos:
            other = self._read(info.path) if info.type == pyarrow.fs.FileType.File else None
            if other is None or other.name == self.mine.name:
                continue
            if not other.alive(machine, (now - (info.mtime_ns or now)) / 1e9):
                with contextlib.suppress(OSError):
                    self.filesystem.delete_file(info.path)
            elif not self.neighbours or machine_of(other.name) != machine:
                found.append(other)
        return sorted(found, key=lambda driver: driver.name)

    def _read(self, file: str) -> Driver | None:
        try:
            with self.filesystem.open_input_stream(file) as stream:
                content = stream.read()
        except FileNotFoundError:
            return None
        try:
            found = Driver(**json_form.loads(content, FORM))
            time.localtime(found.since)
            return found
        except (ValueError, TypeError, OverflowError, OSError):  # it is being written, or is no driver's
            return Driver(unquote(PurePosixPath(file).stem), time.time(), at_work=False)

    def _write(self) -> None:
        with self.filesystem.open_output_stream(self.file) as stream:
            stream.write(json_form.dumps(asdict(self.mine)).encode())
