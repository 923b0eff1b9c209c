"""Estimates how long the remaining trials will take, from a few timed steps of each kind of trial."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from mixlab.cluster.resources import Share, checked_share, this_machine
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


Estimate = float | str | None  # of a trial's seconds; the error by which it failed; None if the trainable cannot say


class Timing(NamedTuple):
    """The estimates for some trials, and the machines that made them, on which the trials would run."""

    estimates: Sequence[Estimate]
    machines: Sequence[Mapping[str, float]]  # the resources of each
    where: str  # the machines in words
    share: Share  # of a trial


def print_cost(left: Sequence[Left], start: Start) -> None:
    """Print roughly how long the trials that are ``left`` will take."""
    train, options, console = start.train, start.options, start.console
    kinds = {_kind(each.trial, train): each.trial for each in left}  # one trial of each kind to time
    here = options.address == "local" and options.gpus_per_trial != AUTO
    timing = (_timed_here if here else _timed_on_cluster)(list(kinds.values()), start)
    if failed := next((each for each in timing.estimates if isinstance(each, str)), ""):
        say(console, f"Cost unknown: the estimate of this trainable failed: {failed}")
        return
    answers = zip(kinds, timing.estimates, strict=True)
    seconds = {kind: answer for kind, answer in answers if isinstance(answer, float)}
    if len(seconds) < len(kinds):
        say(console, "Cost unknown: this trainable does not estimate how long a run takes.")
        return
    for cell, trial in {each.trial.cell: each.trial for each in left}.items():
        say(console, f"  {cell}: about {duration(seconds[_kind(trial, train)])} a trial")
    slots = min(timing.share.slots(timing.machines), len(left))
    pace = min(timing.share.pace(timing.machines), slots)
    turns = f" (they take turns on a GPU: {pace:g} times as fast as one)" if pace < slots else ""
    total = sum(seconds[_kind(each.trial, train)] * each.share * each.times for each in left)
    say(
        console,
        f"Estimated cost: {duration(total)} of training, {duration(total / pace)} with {slots} at a time{turns}, "
        f"on {timing.where}. A rough figure, from a few timed steps of one trial of each kind.",
    )


def _timed_here(trials: Sequence[Trial], start: Start) -> Timing:
    """Return the estimates that this process makes, without Ray."""
    import torch

    machine = this_machine()
    share = checked_share(start.options.cpus_per_trial, start.options.gpus_per_trial, machine, "this machine")
    torch.set_num_threads(share.threads)
    with start.console.status(TIMING):
        estimates = [_estimate(trial.settings, start.train) for trial in trials]
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    where = f"{os.cpu_count()} CPU cores ({platform.machine()}), {', '.join(gpus) or 'no GPU'}"
    return Timing(estimates, [machine], where, share)


def _timed_on_cluster(trials: Sequence[Trial], start: Start) -> Timing:
    """Return the estimates that the cluster makes, where each has the resources of a trial."""
    from mixlab.cluster import connect, nodes, packing

    with connect.connected(start.options.address, start.train.train) as resources:
        where = f"the cluster ({resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs)"
        share = packing.share_of(trials, start.train, resources, start.options, start.console)
        estimate = partial(_estimate, train=start.train)
        with start.console.status(TIMING):
            estimates = connect.map_on(estimate, [trial.settings for trial in trials], share)
        return Timing(estimates, nodes.resources(), where, share)


def _estimate(settings: Any, train: CompleteTrainable) -> Estimate:
    try:
        return train.estimate_seconds(settings)
    except Exception as error:
        return last_line(account_of(error))


def _kind(trial: Trial, train: CompleteTrainable) -> tuple[str, ...]:
    """Return the settings on which the time of a trial depends: the keys that the trainable names, or all."""
    keys: Iterable[str] = train.timed or sorted(trial.config)
    return tuple(str(trial.config.get(key)) for key in keys)
