"""Says roughly how long the trials that are left will take, from a few timed steps of each arm."""

import argparse
import os
import platform
from collections.abc import Mapping, Sequence

from rich.console import Console

from mixlab.cli import AUTO
from mixlab.cluster import connect, packing
from mixlab.run.display import duration
from mixlab.spec.study import Trainable, Trial
from mixlab.storage.journal import Saved

TIMING = "timing a few training steps of each arm ..."


def print_cost(
    left: Sequence[Trial],
    train: Trainable,
    saved: Mapping[str, Saved],
    options: argparse.Namespace,
    console: Console,
) -> None:
    """Print roughly how long the trials that are ``left`` will take.

    Args:
        left: those that are not done.
        train: the trainable.
        saved: by key, the checkpoint that a trial will go on from.
        options: of the command line.
        console: where to.
    """
    configs = {trial.cell: trial.config for trial in left}
    if options.address == "local" and options.gpus_per_trial != AUTO:
        import torch

        resources, where = connect.this_machine(), _hardware()
        share = connect.share(options.cpus_per_trial, options.gpus_per_trial, resources, "this machine")
        torch.set_num_threads(share.threads)
        with console.status(TIMING):
            timed = [train.estimate_seconds(config) for config in configs.values()]
    else:
        with connect.connected(options.address, train) as resources:
            where = f"the cluster ({resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs)"
            share = packing.share_of(left, train, resources, options, console)
            with console.status(TIMING):
                timed = connect.map_on(train.estimate_seconds, configs.values(), share)
    seconds = dict(zip(configs, timed, strict=True))
    slots = min(share.slots(resources), len(left))
    total = 0.0
    for trial in left:
        done = len(saved[trial.key].epochs) if trial.key in saved else 0
        total += seconds[trial.cell] * (1 - done / trial.config["epochs"])
    for cell, value in seconds.items():
        console.print(f"  {cell}: about {duration(value)} a trial", markup=False)
    console.print(
        f"Estimated cost: {duration(total)} of training, {duration(total / slots)} with {slots} at a time, on {where}. "
        "A rough figure, from a few timed steps of each arm.",
        markup=False,
        soft_wrap=True,
    )


def _hardware() -> str:
    """The processors of this machine, such as ``2 CPU cores (x86_64), no GPU``."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), {', '.join(gpus) or 'no GPU'}"
