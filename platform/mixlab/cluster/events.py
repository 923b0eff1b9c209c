"""Passes the events of trials to the source, which decides on them, and to the listener, which records them."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from mixlab.cluster import packing
from mixlab.cluster.source import End, Job, Listener, Source
from mixlab.cluster.tune_private import Failure
from mixlab.errors import BadInput, StorageLost, last_line
from mixlab.messages import counted
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial

ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")  # where an object is in memory; it differs between processes
LEAVE_SECONDS = 3.0  # the time for Ray Tune to leave its loop, once interrupted


class Leave(BaseException):
    """Ends Ray Tune's loop, as Ctrl-C does; the loop catches every other exception."""


@dataclass
class Events:
    """Passes the events of trials on, in the driver, and can end Ray Tune's loop."""

    source: Source
    listener: Listener
    room: Callable[[], int]  # returns how many trials may run at a time

    def __post_init__(self) -> None:
        self.furthest: dict[str, Epoch] = {}  # by key, the last epoch that was reported or that the journal holds
        self.saved: dict[str, Epoch] = {}  # by key, the epoch of the last checkpoint, from which a trial goes on
        self.ends: dict[str, End] = {}  # by key, how a trial has to end
        self.failures: dict[str, tuple[str, int, float]] = {}  # by key, the last error, the epochs before it, the GPUs
        self.fault: BadInput | StorageLost | None = None
        self._leave = threading.Event()
        self._left = threading.Event()

    def until_left(self, fit: Callable[[], object]) -> None:
        """Run Ray Tune, in a thread, until it is done or has to leave."""
        try:
            fit()
        except Leave:
            pass
        finally:
            self._left.set()

    def leave(self) -> None:
        """Make Ray Tune leave its loop, and wait a little for that; the listener is told nothing more."""
        self._leave.set()
        self._left.wait(LEAVE_SECONDS)

    def go_on(self) -> None:
        """Leave Ray Tune's loop by an exception if it must be left."""
        if self._leave.is_set() or self.fault is not None:
            raise Leave

    def next(self) -> Job | None:
        """Return the next trial that has to run, or None while there is none."""
        while True:
            self.go_on()
            job = self.source.next(self.room())
            if job is not None and job.saved is not None:
                self.listener.resumed(job.trial, job.saved.epochs)
                self.furthest[job.trial.key] = self.saved[job.trial.key] = job.saved.epochs[-1]
                end = None
                for epoch in job.saved.epochs:
                    end = end or self.source.reported(job.trial, epoch, may_stop=not job.saved.complete)
                if end is not None or job.saved.complete:
                    self._end(job.trial, end or End(State.DONE), job.saved.path)
                    continue
            return job

    def reported(self, trial: Trial, epoch: Epoch, saved: bool) -> bool:
        """Pass an epoch on, which may have a checkpoint; return whether the trial must stop after it."""
        self.listener.reported(trial, epoch)
        if saved:
            self.saved[trial.key] = epoch
        if trial.key not in self.furthest or epoch.number > self.furthest[trial.key].number:
            self.furthest[trial.key] = epoch
        try:
            end = self.source.reported(trial, epoch)
        except BadInput as fault:
            self.fault = fault
            return True
        if end is not None:
            self.ends[trial.key] = end
        return end is not None and not epoch.last

    def passed_over(self, trial: Trial, damaged: int, latest: Epoch | None) -> None:
        """Note that a trial found so many damaged checkpoints, and goes on after the ``latest`` epoch of another."""
        self.saved.pop(trial.key, None)
        if latest is not None:
            self.saved[trial.key] = latest
        account = f"found {counted(damaged, 'damaged checkpoint')}, {self.onwards(trial)}"
        self.listener.crashed(trial, account)

    def onwards(self, trial: Trial) -> str:
        """Return in words where a trial goes on."""
        saved = self.saved.get(trial.key)
        return f"goes on after {saved.in_words}" if saved else "begins anew"

    def is_final(self, trial: Trial, failure: Failure, gpus: float) -> bool:
        """Return whether a trial has failed as it did the last time, at the same epoch: it would fail so again.

        A full GPU is the same error, whatever numbers its message has, until the trial has more ``gpus`` than before.
        """
        epoch = self.furthest.get(trial.key)
        error = "a full GPU" if packing.ran_out(failure.text) else ADDRESS.sub("", last_line(failure.text))
        seen = (error, epoch.number if epoch else 0, gpus)
        again = failure.raised and self.failures.get(trial.key) == seen
        self.failures[trial.key] = seen
        return again

    def completed(self, trial: Trial, checkpoint: str) -> None:
        """Note that a trial has returned, or was stopped."""
        end = self.ends.get(trial.key)
        if end is None:
            last = self.furthest.get(trial.key)
            if last is None:
                error = "it returned without a report: report(epoch, save) is called after every epoch"
            else:
                error = f"it returned after {last.in_words}"
            end = End(State.DONE) if last is not None and last.last else End(State.FAILED, error=error)
        self._end(trial, end, checkpoint)

    def failed(self, trial: Trial, account: str) -> None:
        """Note that a trial has crashed for the last time."""
        self._end(trial, End(State.FAILED, error=account), "")

    def _end(self, trial: Trial, end: End, checkpoint: str) -> None:
        if self.fault is None:
            self.source.ended(trial, end)
            self.listener.ended(trial, end, checkpoint)
        for of_trial in (self.furthest, self.saved, self.ends, self.failures):
            of_trial.pop(trial.key, None)
