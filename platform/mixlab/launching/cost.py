"""Estimates how long the remaining trials will take, from a few timed steps of each kind of trial."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mixlab.cluster.resources import checked_share, this_machine
from mixlab.errors import account_of, last_line
from mixlab.launching.display import duration
from mixlab.launching.start import Start
from mixlab.messages import say
from mixlab.options import AUTO
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.trial import Trial

TIMING = "timing a few training steps of each kind of trial ..."


@dataclass(frozen=True)
class Left:
    """A trial that is not done."""

    trial: Trial
    share: float = 1.0  # of its training that is left, from 0 to 1
    times: int = 1  # how often it is run, such as once per seed of a search


def print_cost(left: Sequence[Left], start: Start) -> None:
    """Print roughly how long the trials that are ``left`` will take."""
    train, options, console = start.train, start.options, start.console
    kinds = {_kind(each.trial, train): each.trial for each in left}  # one trial of each kind to time
    trials = list(kinds.values())
    if options.address == "local" and options.gpus_per_trial != AUTO:
        import torch

        machines, where = [this_machine()], _hardware()
        share = checked_share(options.cpus_per_trial, options.gpus_per_trial, machines[0], "this machine")
        torch.set_num_threads(share.threads)
        with console.status(TIMING):
            timed = [_estimate(trial.settings, train) for trial in trials]
    else:
        from mixlab.cluster import connect, nodes, packing

        with connect.connected(options.address, train.train) as resources:
            machines = nodes.resources()
            where = f"the cluster ({resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs)"
            share = packing.share_of(trials, train, resources, options, console)
            with console.status(TIMING):
                timed = connect.map_on(partial(_estimate, train=train), [trial.settings for trial in trials], share)
    if failed := next((error for _, error in timed if error), ""):
        say(console, f"Cost unknown: the estimate of this trainable failed: {failed}")
        return
    if any(seconds is None for seconds, _ in timed):
        say(console, "Cost unknown: this trainable does not estimate how long a run takes.")
        return
    seconds = dict(zip(kinds, (each or 0.0 for each, _ in timed), strict=True))
    for cell, trial in {each.trial.cell: each.trial for each in left}.items():
        say(console, f"  {cell}: about {duration(seconds[_kind(trial, train)])} a trial")
    slots = min(share.slots(machines), len(left))
    pace = min(share.pace(machines), slots)
    turns = f" (they take turns on a GPU: {pace:g} times as fast as one)" if pace < slots else ""
    total = sum(seconds[_kind(each.trial, train)] * each.share * each.times for each in left)
    say(
        console,
        f"Estimated cost: {duration(total)} of training, {duration(total / pace)} with {slots} at a time{turns}, "
        f"on {where}. A rough figure, from a few timed steps of one trial of each kind.",
    )


def _estimate(settings: Any, train: CompleteTrainable) -> tuple[float | None, str]:
    """Return the seconds that a run takes, None if the trainable cannot say, and the error by which that failed."""
    try:
        return train.estimate_seconds(settings), ""
    except Exception as error:
        return None, last_line(account_of(error))


def _kind(trial: Trial, train: CompleteTrainable) -> tuple[str, ...]:
    """Return the settings on which the time of a trial depends: the keys that the trainable names, or all."""
    keys: Iterable[str] = train.timed or sorted(trial.config)
    return tuple(str(trial.config.get(key)) for key in keys)


def _hardware() -> str:
    """Return the processors of this machine, such as ``2 CPU cores (x86_64), no GPU``."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), {', '.join(gpus) or 'no GPU'}"
