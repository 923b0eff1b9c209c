"""Runs in the process of a trial: it trains, and hands every epoch to Ray Tune with a checkpoint."""

import contextlib
import ctypes
import gc
import hashlib
import itertools
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune

from mixlab.cluster.temporary import remove_abandoned, temporary_folder
from mixlab.errors import Crash, StorageLost, account_of, no_room, without_room
from mixlab.search.objective import OverSeeds
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.epoch import Epoch, Refused, continued, epoch_of, save_of, summarised
from mixlab.spec.search import SearchTrial
from mixlab.spec.trainable import Config, Save
from mixlab.spec.trial import Trial
from mixlab.storage.journal import Storage, read_epochs, write_epochs
from mixlab.tracking import names
from mixlab.tracking.usage import Usage, watched

CONTEXT_BYTES = 800 * 2**20  # a process takes this of a GPU besides its tensors: 620 to 750 MiB were seen on an H100
FULL_BYTES = 2**20  # a disk with less room is full
# Python collects garbage after so many new objects. At its default of 700, torch takes a sixth longer to import.
GARBAGE = 10_000

_earlier_trials = itertools.count()  # counts the trials of this process


@dataclass(frozen=True)
class Work:
    """Everything that the trials of a phase have in common."""

    train: CompleteTrainable
    storage: Storage  # where checkpoints go
    threads: int  # for torch
    data_root: Path
    checkpoint_every: float  # minutes between two checkpoints; 0 for one after every epoch
    files: Mapping[str, bytes]  # the content of each file that a trial reads, by its path in the configuration
    code: Mapping[str, str]  # words that identify the code, such as the commit
    system_metrics: bool = False  # whether every epoch also reports what the machine did


def work(config: Mapping[str, Any], *, work: Work) -> None:
    """Train one trial, from its checkpoint if there is one.

    An exception that the same seed would raise again is reported and ends the trial as complete, so that the process
    can take another; so is a lost storage, which ends the work. Any other exception ends the process, as a ``Crash``:
    Ray loses some, such as ``SystemExit``, and those that cannot be pickled.
    """
    try:
        _train(config["trial"], config["resume_from"], work)
    except StorageLost as lost:
        tune.report({"lost": str(lost)})


def _train(trial: Trial, resume_from: str | None, work: Work) -> None:
    gc.set_threshold(GARBAGE)
    _give_back_memory()
    remove_abandoned()
    gpus = tune.get_context().get_trial_resources().required_resources.get("GPU", 0)
    _keep_to_share(work.threads, gpus)
    own = tune.get_checkpoint()
    source = own.path if own else resume_from
    train: Any = work.train
    if isinstance(trial, SearchTrial):
        train = OverSeeds(work.train, trial.objective, trial.seeds)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir("."))  # the trainable may change to a folder that is then removed
        with _room_for_temporary_files():
            resume = partial(work.storage.to_resume, trial.key, source)
            folder, damaged = work.storage.patiently(lambda: stack.enter_context(resume()))
            settings = stack.enter_context(_settings(trial, work))
        usage = stack.enter_context(watched()) if work.system_metrics else None
        reporter = Reporter(read_epochs(folder) if folder else [], work, usage)
        if reporter.epochs and reporter.epochs[-1].last:
            return  # an earlier process was lost after the last report
        if damaged:
            tune.report({"damaged": len(damaged), "latest": reporter.epochs[-1] if reporter.epochs else None})
        try:
            train(settings, trial.seed, reporter, folder, work.data_root, max(1, int(gpus)))
        except StorageLost:
            raise
        except work.train.final + (Refused,) as error:  # noqa: RUF005
            tune.report({"error": account_of(error), "answer": not isinstance(error, Refused)})
        except BaseException as error:
            if reporter.stopped:
                raise
            raise Crash(account_of(error)) from None


@contextlib.contextmanager
def _settings(trial: Trial, work: Work) -> Iterator[Any]:
    """Yield the trainable's settings, with every file that it reads on this machine inside the block."""
    paths = {key: trial.config[key] for key in work.train.files if trial.config.get(key) in work.files}
    if not paths:
        yield trial.settings
        return
    with temporary_folder() as folder:
        here: dict[str, Any] = {}
        for key, path in paths.items():
            content = work.files[path]
            file = folder / hashlib.sha256(content).hexdigest()[:16] / Path(path).name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
            here[key] = str(file)
        yield work.train.read({**trial.config, **here}).settings


def files_of(train: CompleteTrainable, configs: list[Config]) -> dict[str, bytes]:
    """Return the content of every file that some configurations name, by its path in them."""
    paths = {str(config[key]) for config in configs for key in train.files if config.get(key) is not None}
    return {path: train.content(path) for path in sorted(paths)}


class Reporter:
    """Takes a trainable's reports, and hands them to Ray Tune with a checkpoint that holds all epochs so far."""

    def __init__(self, epochs: list[Epoch], work: Work, usage: Usage | None = None) -> None:
        self.epochs = epochs
        self.usage = usage
        self.work = work
        self.words_before: Mapping[str, str] = {}  # the run's words before this process continued it
        self.saved_at = time.monotonic()
        self.latest = 0  # the number of the last epoch that this process has reported
        self.stopped = False  # Ray Tune ends a trial that it stops by SystemExit, out of the report

    def __call__(self, reported: Any, save: Save | None = None) -> None:
        """Take a report; the trainable calls this after every epoch.

        Raises:
            Refused: the report is not an epoch, or not one that comes after the last; nothing saves it.
            StorageLost: its checkpoint cannot be written.
        """
        epoch = epoch_of(reported)
        save = save_of(save)
        if epoch.number <= self.latest:
            order = f"epoch {epoch.number} was reported after epoch {self.latest}"
            raise Refused(f"{order}: each is reported once, in order, with all its metrics")
        # A trainable that begins again, without what was saved, reports epochs that are there already.
        before = [each for each in self.epochs if each.number < epoch.number]
        if before and not self.latest:
            self.words_before = before[-1].words
        self.latest = epoch.number
        used = self.usage.taken() if self.usage is not None else {}
        words = continued(self.words_before, {**epoch.words, **self.work.code})
        self.epochs = [*before, replace(epoch, metrics={**epoch.metrics, **used}, words=words)]
        if self.epochs[-1].last:
            self.epochs[-1] = summarised(self.epochs, self.work.train.metrics)
        if not self.epochs[-1].last and time.monotonic() - self.saved_at < 60 * self.work.checkpoint_every:
            self._hand_over(saved=False)
            return
        with contextlib.ExitStack() as stack:
            with _room_for_temporary_files():
                folder = stack.enter_context(temporary_folder())
                save(folder)
                if self.epochs[-1].last:
                    _keep_results(folder)
                write_epochs(folder, self.epochs)
            checkpoint = tune.Checkpoint.from_directory(folder)
            self.work.storage.patiently(lambda: self._hand_over(saved=True, checkpoint=checkpoint))
        self.saved_at = time.monotonic()

    def _hand_over(self, *, saved: bool, **checkpoint: Any) -> None:
        try:
            tune.report({"epoch": self.epochs[-1], "saved": saved}, **checkpoint)
        except SystemExit:
            self.stopped = True
            raise


@contextlib.contextmanager
def _room_for_temporary_files() -> Iterator[None]:
    """Raise ``StorageLost`` if the block fails for want of room in the temporary folder."""
    try:
        yield
    except Exception as error:
        folder = tempfile.gettempdir()
        reason = error.__cause__ or error  # reading from a bucket into that folder has raised ``StorageLost``
        # On a full disk torch raises a ``RuntimeError`` about positions in its file.
        if no_room(reason) or shutil.disk_usage(folder).free < FULL_BYTES:
            where = f"the temporary folder {folder!r} of {socket.gethostname()}"
            raise StorageLost(without_room(where, reason)) from error
        raise


def _keep_results(folder: Path) -> None:
    """Delete what only a run that goes on would need, such as the state of the optimiser."""
    for path in folder.iterdir():
        if not any(fnmatch(path.name, pattern) for pattern in names.KEPT_FILES):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _give_back_memory() -> None:
    """Return to the machine the memory that the last trial has left in this process.

    To look through the modules that the first trial has imported takes a third of a second. They stay until the process
    ends, so that this is done once.
    """
    gc.collect()
    if next(_earlier_trials) == 1:
        gc.freeze()
    with contextlib.suppress(OSError, AttributeError):  # only the GNU C library has it
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _keep_to_share(threads: int, gpus: float) -> None:
    """Limit this process to its threads, and to its share of a GPU's memory: a greedy trial fails, not its neighbour.

    Without a GPU, torch is left to the trainable: it takes seconds to import, and some have no use for it.
    """
    if not gpus and "torch" not in sys.modules:
        # torch will read them. ``torch.set_num_threads`` also keeps MKL from taking fewer threads, and so other sums.
        os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)) | {"MKL_DYNAMIC": "FALSE"}
        return
    import torch

    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # left by the trial that this process ran before
        torch.cuda.set_per_process_memory_fraction(share_of_tensors(gpus, torch.cuda.mem_get_info()[1]))


def share_of_tensors(gpus: float, memory: int) -> float:
    """Return the share of a GPU's memory (bytes) that a trial's tensors may take; its context takes the rest."""
    if not 0 < gpus < 1:
        return 1.0
    return max(gpus - CONTEXT_BYTES / memory, gpus / 2)
