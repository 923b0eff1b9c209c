"""Programs that tests start: each writes to a file of its own, and none outlives the process that started it."""

import contextlib
import gc
import importlib
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

from tests.servers.isolation import ROOT, isolated
from tests.waiting import STANDING_STILL_SECONDS, wait_for

END_SECONDS = 30
T = TypeVar("T")


class Program:
    """A running program. As a context manager it is ended with its block.

    Args:
        command: its words.
        folder: where it runs, and where its output is written, both streams to ``log``.
        log: the name of that file, to which another start with the same name adds.
        environment: all of its variables; this process's if not given.
        ends_by: the name of the signal that ends it, also when this process ends, however that ends.
        options: the arguments of ``subprocess.Popen``.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        folder: Path,
        log: str = "out.txt",
        environment: Mapping[str, str] | None = None,
        ends_by: str = "TERM",
        **options: Any,
    ) -> None:
        self.log = folder / log
        self.ends_by = signal.Signals[f"SIG{ends_by}"]
        with_us = ("setpriv", "--pdeathsig", ends_by) if shutil.which("setpriv") else ()
        with self.log.open("ab") as file:
            self._offset = file.tell()
            self.process = subprocess.Popen(
                [*with_us, *map(str, command)],
                stdout=file,
                stderr=file,
                **{"cwd": folder, "env": environment, **options},
            )

    @property
    def said(self) -> str:
        """Return the output since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._offset)
            return file.read().decode(errors="replace")

    def until(self, condition: Callable[[], T], seconds: float = STANDING_STILL_SECONDS) -> T:
        """Return the first true value of ``condition``; fail if the program ends or says nothing for long."""

        def asked() -> T:
            running = self.process.poll() is None  # asked first: it may end once the condition is true
            value = condition()
            assert value or running, f"it has ended: {self.said[-4000:]}"
            return value

        return wait_for(asked, self._size, lambda: self.said[-4000:], seconds)

    def until_said(self, text: str, times: int = 1) -> None:
        """Return once it has written ``text`` this many times."""
        self.until(lambda: self.said.count(text) >= times)

    def finish(self, code: int | None = 0, seconds: float = STANDING_STILL_SECONDS) -> str:
        """Wait for its end, as long as it says something, and return that; fail if it ends with another code."""
        wait_for(lambda: self.process.poll() is not None, self._size, lambda: self.said[-4000:], seconds)
        assert code in (None, self.process.returncode), f"exit code {self.process.returncode}: {self.said[-4000:]}"
        return self.said

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        """Stop it by its signal, and kill it if that takes too long."""
        self.process.send_signal(self.ends_by)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """End it and everything that it has started at one blow, as when its machine loses power."""
        try:
            every = [psutil.Process(self.process.pid), *self.children()]
        except psutil.NoSuchProcess:
            every = []
        for each in every:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait()

    def children(self, name: str = "") -> list[psutil.Process]:
        return children(self.process.pid, name)

    def _size(self) -> int:
        return self.log.stat().st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def run(
    command: Sequence[str | Path],
    folder: Path,
    code: int = 0,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> str:
    """Run a program to its end and return what it said; fail unless it ended with ``code``."""
    with Program(command, folder, environment=environment, **options) as program:
        return program.finish(code)


def run_alone(
    function: Callable[[Path], None], folder: Path, within: Callable[[Sequence[str]], list[str]] = isolated
) -> None:
    """Run a function of a folder in a process ``within`` its own network; show how it fails."""
    where = (function.__module__, function.__name__, str(folder))
    command = within([sys.executable, "-P", "-m", "tests.servers.program", *where])
    paths = environment(PYTHONPATH=f"{ROOT / 'platform'}:{ROOT}")
    with Program(command, folder, "program.txt", paths, ends_by="KILL") as program:
        program.finish(seconds=math.inf)  # whatever it waits for has a limit of its own


def children(pid: int, name: str = "") -> list[psutil.Process]:
    """Return every process below process ``pid`` whose name begins with ``name``."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child for child in psutil.Process(pid).children(recursive=True) if _name(child).startswith(name)]
    return []


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, **changes}


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


if __name__ == "__main__":
    module, function, folder = sys.argv[1:]
    gc.set_threshold(10_000)  # while the libraries are imported, too
    getattr(importlib.import_module(module), function)(Path(folder))
