"""Runs the trials of a launch one by one in this process, instead of Ray."""

from collections.abc import Callable
from typing import Any

from mixlab.cluster.source import End, Listener, Source
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial
from tests.toy import score

Turn = Callable[[Listener, Trial, int], object]  # called as a trial begins, with the number of those before it


def in_this_process(begins: Turn = lambda *_: None) -> Callable[..., None]:
    """Return what replaces ``schedule.run`` and reports the toy's scores; ``begins`` may return how a trial ends."""

    def run_trials(source: Source, listener: Listener, *_: Any) -> None:
        begun = 0
        while job := source.next(1):
            trial, epochs = job.trial, job.trial.config["epochs"]
            listener.started(trial, None)
            end = begins(listener, trial, begun)
            begun += 1
            for number in range(1, epochs + 1) if end is None else ():
                value = score(trial.config, trial.seed, number)
                epoch = Epoch(number, epochs, {"test_top1": value, "test_top1_median10": value, "val_top1": value})
                listener.reported(trial, epoch)
                end = source.reported(trial, epoch)
            ended = end if isinstance(end, End) else End(State.DONE)
            source.ended(trial, ended)
            listener.ended(trial, ended, "")

    return run_trials


def raising(error: BaseException, after: int) -> Turn:
    """Return a turn that raises ``error`` as the trial begins that follows ``after`` others."""

    def begins(_: Listener, trial: Trial, number: int) -> None:
        if number == after:
            raise error

    return begins
