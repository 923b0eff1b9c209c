"""Keeps a second driver off the storage of a study, and off its runs in MLflow."""

import contextlib
import importlib
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import filelock
import pyarrow.fs

from mixlab.errors import BadInput, first_line
from mixlab.launching.start import LOCK_FILE, Start
from mixlab.messages import say
from mixlab.passwords import shown
from mixlab.processes import WATCH_SECONDS, Board, OtherDriver, claimed, is_over
from mixlab.tracking import names, store
from mixlab.tracking.experiment import TagBoard, interrupt_plans, open_experiment
from mixlab.tracking.stored_runs import StoredRun
from mixlab.uris import sqlite_file


@contextlib.contextmanager
def only_driver(start: Start) -> Iterator[None]:
    """Keep other drivers of the study off the storage: they would run the same trials twice.

    Raises:
        BadInput: another driver is at work, or the folder's file system has no locks.
    """
    folder = start.folder
    try:
        held = filelock.FileLock(folder / LOCK_FILE, timeout=0).acquire()
    except filelock.Timeout:
        raise BadInput(f"another start of this study is running on {str(folder)!r}: wait for it, or stop it") from None
    except OSError as error:
        raise BadInput(
            f"{str(folder)!r} cannot be locked ({first_line(error)}), so that a second start of the study would train "
            "the same trials: give a --storage on a file system that has locks"
        ) from error
    with held, only_machine(start, "driver", neighbours=False):
        yield


@contextlib.contextmanager
def only_writer(start: Start, identity: str) -> Iterator[None]:
    """Keep drivers of the same plan that have another storage off its runs: they would write the same ones.

    On a file system without locks, nobody is kept off.

    Raises:
        BadInput: another driver is at work, or MLflow does not answer.
    """
    file = sqlite_file(start.client.tracking_uri)  # by now its folder exists
    other = ""
    with contextlib.ExitStack() as held:
        try:
            if file is None:
                with store.reading(start.client):
                    experiment = open_experiment(start.client, start.name)
                    held.enter_context(_claimed(TagBoard(start.client, experiment, names.DRIVER + identity), start))
            else:
                held.enter_context(_lock_of(file, identity))
        except filelock.Timeout:
            other = "with another --storage"
        except OtherDriver as driver:
            other = str(driver)
        except OSError as error:
            logging.getLogger("mixlab").warning("%s cannot be locked (%s)", file, first_line(error))
        if other:
            raise BadInput(
                f"another start of this study, {other}, writes the same runs to --tracking-uri "
                f"{shown(start.options.tracking_uri)!r}: wait for it, or stop it, or give another --tracking-uri"
            )
        yield


def end_abandoned(start: Start, identity: str) -> None:
    """End the runs of the study's plans whose starts were killed, of which ``identity`` is held by this one.

    A start of another plan that may be at work, or cut off on another machine, keeps its runs.
    """

    def is_abandoned(experiment: str, run: StoredRun) -> bool:
        plan = run.tags.get(names.PLAN, "")
        return plan == identity or _is_abandoned(start, experiment, plan)

    interrupt_plans(start.client, start.name, names.STUDY_LEVELS, is_abandoned)


def _is_abandoned(start: Start, experiment: str, identity: str) -> bool:
    """Return whether no driver writes the runs of a plan, for certain."""
    file = sqlite_file(start.client.tracking_uri)
    if file is None:
        return is_over(TagBoard(start.client, experiment, names.DRIVER + identity).read())
    try:
        with _lock_of(file, identity):
            return True
    except OSError:  # another start holds it, or there are no locks
        return False


def _lock_of(file: Path, identity: str) -> filelock.BaseFileLock:
    """Return the lock of a plan whose runs are in an SQLite file; who enters it waits for nobody."""
    file = file.resolve()  # links may give it other names
    return filelock.FileLock(file.with_name(f".{file.name}.{identity}.lock"), timeout=0)


@contextlib.contextmanager
def only_machine(start: Start, name: str, *, neighbours: bool = True) -> Iterator[None]:
    """Keep drivers on other machines off a storage behind a URI, inside the block, by a file called ``name``.

    With ``neighbours``, other drivers on this machine, which share its files, are allowed.

    Raises:
        BadInput: another driver is at work; the sentence says where and since when.
    """
    storage = start.storage
    with contextlib.ExitStack() as held:
        if not isinstance(storage.filesystem, pyarrow.fs.LocalFileSystem):
            board = FileBoard(storage.filesystem, f"{storage.folder}/{name}")
            try:
                storage.patiently(lambda: held.enter_context(_claimed(board, start, neighbours=neighbours)))
            except OtherDriver as driver:
                raise BadInput(
                    f"another start of this study, {driver}, has been at work in this storage since {driver.since}: "
                    f"wait for it, or stop it; {WATCH_SECONDS:.0f} s after its end the same command takes over"
                ) from None
        yield


def _claimed(board: Board, start: Start, *, neighbours: bool = False) -> contextlib.AbstractContextManager[None]:
    def stop(sentence: str) -> None:
        say(start.console, sentence, style="red")
        os.kill(os.getpid(), signal.SIGTERM)

    import_ray = partial(importlib.import_module, "mixlab.cluster.schedule")  # the import takes a second
    return claimed(board, partial(say, start.console), stop, neighbours=neighbours, meanwhile=import_ray)


@dataclass
class FileBoard:
    """A file in a storage."""

    filesystem: pyarrow.fs.FileSystem
    path: str

    def read(self) -> str:
        try:
            with self.filesystem.open_input_stream(self.path) as stream:
                return str(stream.read().decode(errors="replace"))
        except FileNotFoundError:
            return ""

    def write(self, text: str) -> None:
        if not text:
            self.filesystem.delete_file(self.path)
            return
        self.filesystem.create_dir(self.path.rpartition("/")[0])
        with self.filesystem.open_output_stream(self.path) as stream:
            stream.write(text.encode())
