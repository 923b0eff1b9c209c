"""Keeps a second driver off the storage of a study, and off its runs in MLflow."""

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import filelock
import pyarrow.fs
from rich.console import Console

from mixlab.errors import BadInput, first_line
from mixlab.launching.start import LOCK_FILE, Start
from mixlab.messages import say
from mixlab.storage.claim import claimed
from mixlab.tracking import store
from mixlab.tracking.driver_tag import OtherDriver, tagged
from mixlab.tracking.experiment import open_experiment
from mixlab.uris import shown, sqlite_file


@contextlib.contextmanager
def only_driver(folder: Path, start: Start) -> Iterator[None]:
    """Keep other drivers of the study off the storage: they would run the same trials twice.

    Raises:
        BadInput: another driver is at work, or the folder's file system has no locks.
    """
    try:
        held = filelock.FileLock(folder / LOCK_FILE, timeout=0).acquire()
    except filelock.Timeout:
        raise BadInput(f"another start of this study is running on {str(folder)!r}: wait for it, or stop it") from None
    except OSError as error:
        raise BadInput(
            f"{str(folder)!r} cannot be locked ({first_line(error)}), so that a second start of the study would train "
            "the same trials: give a --storage on a file system that has locks"
        ) from error
    with held, only_machine(start, "drivers", neighbours=False):
        yield


@contextlib.contextmanager
def only_writer(start: Start, identity: str) -> Iterator[None]:
    """Keep other drivers of this plan of a study, whose storage is another, off its runs: they would write the same.

    A file system that has no locks keeps nobody off.

    Raises:
        BadInput: another driver is at work, or MLflow does not answer.
    """
    file = sqlite_file(start.client.tracking_uri)  # whose folder is there now
    other = ""
    with contextlib.ExitStack() as held:
        try:
            if file is None:
                with store.reading(start.client):
                    held.enter_context(_tag(start, identity))
            else:
                file = file.resolve()  # which may have other names
                lock = filelock.FileLock(file.with_name(f".{file.name}.{identity}.lock"), timeout=0)
                held.enter_context(lock.acquire())
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


def _tag(start: Start, identity: str) -> contextlib.AbstractContextManager[None]:
    experiment = open_experiment(start.client, start.name)
    return tagged(start.client, experiment, identity, partial(say, start.console), partial(_stop, start.console))


def only_machine(start: Start, name: str, *, neighbours: bool = True) -> contextlib.AbstractContextManager[None]:
    """Keep drivers on other machines off a storage behind a URI inside the block, by a claim of this name.

    Others on this machine, which share its files, are allowed as ``neighbours``.
    """
    storage = start.storage
    if isinstance(storage.filesystem, pyarrow.fs.LocalFileSystem):
        return contextlib.nullcontext()
    lost = partial(_stop, start.console)
    return claimed(storage.filesystem, f"{storage.folder}/{name}", lost, neighbours=neighbours)


def _stop(console: Console, sentence: str) -> None:
    say(console, sentence, style="red")
    os.kill(os.getpid(), signal.SIGTERM)
